import { useState } from "react";
import { Link } from "react-router";
import { usePlatform } from "../platform";
import { EntryForm } from "./EntryForm";
import { Field } from "./Field";

export function ForgotPasswordPage() {
  const platform = usePlatform();
  const [asked, setAsked] = useState(false);
  if (asked) {
    return (
      <main className="entry">
        <h1>Look at your mail</h1>
        <p role="status">If there is an account with this address, an e-mail with a link is on its way. The link works for an hour.</p>
        <p>
          <Link to="/">Log in</Link>
        </p>
      </main>
    );
  }
  return (
    <EntryForm
      title="Choose a new password"
      action="Send me a link"
      submit={async ({ email = "" }) => {
        await platform.gate.forgotPassword(email.trim());
        setAsked(true);
      }}
      footer={
        <p>
          <Link to="/">Log in</Link>
        </p>
      }
    >
      {(refused) => <Field label="E-mail" name="email" type="email" autoComplete="email" error={refused?.field("email")} />}
    </EntryForm>
  );
}
