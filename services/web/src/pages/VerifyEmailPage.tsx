import { useState } from "react";
import { Link } from "react-router";
import { usePlatform } from "../platform";
import { EntryForm } from "./EntryForm";
import { useMailedToken } from "./mailedToken";

/** Waits for a person to press the button: programs that look at links in e-mails must not use the token up. */
export function VerifyEmailPage() {
  const platform = usePlatform();
  const token = useMailedToken();
  const [done, setDone] = useState(false);
  if (done) {
    return (
      <main className="entry">
        <h1>Your e-mail address is confirmed</h1>
        <p role="status">Thank you.</p>
        <p>
          <Link to="/">Go on</Link>
        </p>
      </main>
    );
  }
  return (
    <EntryForm
      title="Confirm your e-mail address"
      action="This is my address"
      submit={async () => {
        await platform.gate.verifyEmail(token);
        setDone(true);
      }}
      footer={null}
    >
      {() => null}
    </EntryForm>
  );
}
