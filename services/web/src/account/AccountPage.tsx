import { Link } from "react-router";
import type { Account } from "../api/wire";
import { Picture } from "./Picture";
import { SecondStep } from "./SecondStep";

/** What a person decides about their own account. */
export function AccountPage({ account }: { account: Account }) {
  return (
    <main className="account">
      <p>
        <Link to="/">‹ All conversations</Link>
      </p>
      <h1>Your account</h1>
      <p>
        {account.displayName} <small>@{account.username}</small>
      </p>
      <Picture account={account} />
      <SecondStep />
    </main>
  );
}
