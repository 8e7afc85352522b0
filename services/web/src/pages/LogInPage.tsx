import { useState } from "react";
import { Link } from "react-router";
import { usePlatform } from "../platform";
import { EntryForm } from "./EntryForm";
import { Field } from "./Field";
import { SecondStepForm } from "./SecondStepForm";

export function LogInPage({ notice }: { notice?: string }) {
  const platform = usePlatform();
  const [challenge, setChallenge] = useState<string | null>(null);
  if (challenge !== null) return <SecondStepForm challenge={challenge} startAgain={() => setChallenge(null)} />;
  return (
    <EntryForm
      title="Log in"
      action="Log in"
      notice={notice}
      submit={async ({ login = "", password = "" }) => {
        const answer = await platform.gate.logIn(login.trim(), password);
        if ("challenge" in answer) setChallenge(answer.challenge);
        else platform.enter(answer);
      }}
      footer={
        <>
          <p>
            New here? <Link to="/register">Create an account</Link>
          </p>
          <p>
            <Link to="/forgot-password">Forgot your password?</Link>
          </p>
        </>
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
