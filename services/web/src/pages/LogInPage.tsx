import { Link } from "react-router";
import { usePlatform } from "../platform";
import { EntryForm } from "./EntryForm";
import { Field } from "./Field";

export function LogInPage({ notice }: { notice?: string }) {
  const platform = usePlatform();
  return (
    <EntryForm
      title="Log in"
      action="Log in"
      notice={notice}
      submit={async ({ login = "", password = "" }) => platform.enter(await platform.gate.logIn(login.trim(), password))}
      footer={
        <p>
          New here? <Link to="/register">Create an account</Link>
        </p>
      }
    >
      {() => (
        <>
          <Field label="E-mail or username" name="login" autoComplete="username" />
          <Field label="Password" name="password" type="password" autoComplete="current-password" />
        </>
      )}
    </EntryForm>
  );
}
