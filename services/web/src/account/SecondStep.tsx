import { useEffect, useState, type ReactNode } from "react";
import type { SecondStep as Standing, SecondStepSecret } from "../api/wire";
import { Field } from "../pages/Field";
import { Form } from "../pages/Form";
import { usePlatform } from "../platform";
import { secondStepChanged } from "../session/slice";
import { useAppDispatch } from "../store";
import { StepHeading } from "./Heading";
import { QrCode } from "./QrCode";
import { RecoveryCodes } from "./RecoveryCodes";

/** What is on the screen: how it stands, or a step on the way to something else. */
type Step =
  | { at: "standing" }
  | { at: "setting up" }
  | { at: "scanning"; secret: SecondStepSecret }
  | { at: "keeping"; codes: string[] }
  | { at: "renewing" }
  | { at: "switching off" };

/** The second step of one's log-in: set up, renewed and switched off. */
export function SecondStep() {
  const platform = usePlatform();
  const dispatch = useAppDispatch();
  const [standing, setStanding] = useState<Standing | null>(null);
  const [failed, setFailed] = useState(false);
  const [step, setStep] = useState<Step>({ at: "standing" });

  async function look() {
    try {
      const found = await platform.api.secondStep();
      setStanding(found);
      setFailed(false);
      dispatch(secondStepChanged(found.enabled));
    } catch {
      setFailed(true);
    }
  }
  useEffect(() => void look(), [platform]);

  async function back() {
    await look();
    setStep({ at: "standing" });
  }
  const cancel = (
    <button type="button" className="quiet" onClick={() => void back()}>
      Cancel
    </button>
  );
  const password = (
    <Field label="Password" name="password" type="password" autoComplete="current-password" autoFocus hint="To be sure that it is you." />
  );

  return (
    <section aria-labelledby="second-step">
      <h2 id="second-step">Second step</h2>
      {failed && (
        <p role="alert" className="error">
          How it stands cannot be seen at the moment.{" "}
          <button type="button" className="quiet" onClick={() => void look()}>
            Try again
          </button>
        </p>
      )}
      {step.at === "standing" && standing?.enabled === false && (
        <>
          <p>Logging in takes your password alone. With a second step it takes a code of an app on your phone as well.</p>
          <button type="button" onClick={() => setStep({ at: "setting up" })}>
            Set up a second step
          </button>
        </>
      )}
      {step.at === "standing" && standing?.enabled === true && (
        <>
          <p role="status">Logging in takes a code of your authenticator app. {left(standing.recoveryCodesLeft ?? 0)}</p>
          <p className="actions">
            <button type="button" onClick={() => setStep({ at: "renewing" })}>
              New recovery codes
            </button>
            <button type="button" onClick={() => setStep({ at: "switching off" })}>
              Switch off
            </button>
          </p>
        </>
      )}
      {step.at === "setting up" && (
        <Form
          action="Go on"
          submit={async ({ password = "" }) => setStep({ at: "scanning", secret: await platform.api.beginSecondStep(password) })}
          beside={cancel}
        >
          {() => password}
        </Form>
      )}
      {step.at === "scanning" && (
        <Scanning secret={step.secret}>
          <Form
            action="Switch on"
            submit={async ({ code = "" }) => {
              const { recoveryCodes } = await platform.api.confirmSecondStep(code.replaceAll(" ", ""));
              setStep({ at: "keeping", codes: recoveryCodes });
            }}
            beside={cancel}
          >
            {() => <Field label="Code" name="code" autoComplete="one-time-code" hint="The six digits that the app shows now." />}
          </Form>
        </Scanning>
      )}
      {step.at === "keeping" && <RecoveryCodes codes={step.codes} kept={() => void back()} />}
      {step.at === "renewing" && (
        <>
          <StepHeading>New recovery codes</StepHeading>
          <p>The codes that you have now will not work any more.</p>
          <Form
            action="Show new codes"
            submit={async ({ password = "" }) => {
              const { recoveryCodes } = await platform.api.newRecoveryCodes(password);
              setStep({ at: "keeping", codes: recoveryCodes });
            }}
            beside={cancel}
          >
            {() => password}
          </Form>
        </>
      )}
      {step.at === "switching off" && (
        <>
          <StepHeading>Switch off the second step</StepHeading>
          <p>Your password alone will let you in, and anybody else who has it.</p>
          <Form
            action="Switch off"
            submit={async ({ password = "" }) => {
              await platform.api.endSecondStep(password);
              await back();
            }}
            beside={cancel}
          >
            {() => password}
          </Form>
        </>
      )}
    </section>
  );
}

function Scanning({ secret, children }: { secret: SecondStepSecret; children: ReactNode }) {
  return (
    <>
      <StepHeading>Scan this with your authenticator app</StepHeading>
      <QrCode text={secret.uri} label="QR code for your authenticator app; the same as text stands below" />
      <p>
        Or type it: <code className="secret">{secret.secret.match(/.{1,4}/g)?.join(" ")}</code>
      </p>
      {children}
    </>
  );
}

function left(count: number): string {
  if (count === 0) return "You have no recovery codes left: make new ones.";
  return count === 1 ? "You have one recovery code left." : `You have ${count} recovery codes left.`;
}
