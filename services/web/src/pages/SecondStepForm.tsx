import { usePlatform } from "../platform";
import { EntryForm } from "./EntryForm";
import { Field } from "./Field";

/** Asks for the code that comes after the password. */
export function SecondStepForm({ challenge, startAgain }: { challenge: string; startAgain: () => void }) {
  const platform = usePlatform();
  return (
    <EntryForm
      title="One more step"
      action="Log in"
      submit={async ({ code = "" }) => platform.enter(await platform.gate.takeSecondStep(challenge, code))}
      footer={
        <p>
          <button type="button" onClick={startAgain}>
            Start again
          </button>
        </p>
      }
    >
      {() => <Field label="Code" name="code" autoComplete="one-time-code" autoFocus hint="Six digits of your authenticator app, or a recovery code." />}
    </EntryForm>
  );
}
