import { useState, type FormEvent, type ReactNode } from "react";
import { Refused } from "../api/client";

interface Props {
  action: string;
  notice?: string | undefined;
  submit: (values: Record<string, string>) => Promise<void>;
  children: (refused: Refused | null) => ReactNode;
  /** What else can be done in the place of submitting. */
  beside?: ReactNode;
}

/** Fields, one button, and what the server said. */
export function Form({ action, notice, submit, children, beside }: Props) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Error | null>(null);
  const refused = failure instanceof Refused ? failure : null;

  async function onSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const values = Object.fromEntries([...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value)]));
    setBusy(true);
    try {
      await submit(values);
      setFailure(null);
    } catch (error) {
      setFailure(error instanceof Refused ? error : new Error("The platform cannot be reached. Please try again."));
    }
    setBusy(false);
  }

  return (
    <>
      {notice !== undefined && failure === null && <p role="status">{notice}</p>}
      {failure && (
        <p role="alert" className="error">
          {failure.message}
        </p>
      )}
      <form onSubmit={(event) => void onSubmit(event)}>
        {children(refused)}
        <button type="submit" disabled={busy}>
          {action}
        </button>
        {beside}
      </form>
    </>
  );
}
