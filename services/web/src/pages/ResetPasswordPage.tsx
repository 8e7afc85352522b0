import { useState } from "react";
import { Link } from "react-router";
import { usePlatform } from "../platform";
import { EntryForm } from "./EntryForm";
import { Field } from "./Field";
import { useMailedToken } from "./mailedToken";

export function ResetPasswordPage() {
  const platform = usePlatform();
  const token = useMailedToken();
  const [done, setDone] = useState(false);
  if (done) {
    return (
      <main className="entry">
        <h1>Your password is changed</h1>
        <p role="status">You were logged out everywhere.</p>
        <p>
          <Link to="/">Log in</Link>
        </p>
      </main>
    );
  }
  return (
    <EntryForm
      title="Choose a new password"
      action="Change password"
      submit={async ({ password = "" }) => {
        await platform.gate.resetPassword(token, password);
        setDone(true);
      }}
      footer={
        <p>
          <Link to="/forgot-password">Send me another link</Link>
        </p>
      }
    >
      {(refused) => (
        <Field
          label="New password"
          name="password"
          type="password"
          autoComplete="new-password"
          hint="8 to 256 characters. Long is better than complicated."
          error={refused?.field("password")}
        />
      )}
    </EntryForm>
  );
}
