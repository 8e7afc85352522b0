import { useState, type FormEvent, type ReactNode } from "react";
import { Refused } from "../api/client";

interface Props {
  title: string;
  action: string;
  notice?: string | undefined;
  submit: (values: Record<string, string>) => Promise<void>;
  children: (refused: Refused | null) => ReactNode;
  footer: ReactNode;
}

/** What logging in and registering have in common: fields, one button, and what the server said. */
export function EntryForm({ title, action, notice, submit, children, footer }: Props) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Error | null>(null);
  const refused = failure instanceof Refused ? failure : null;

  async function onSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const values = Object.fromEntries([...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value)]));
    setBusy(true);
    try {
      await submit(values);
    } catch (error) {
      setFailure(error instanceof Refused ? error : new Error("The platform cannot be reached. Please try again."));
      setBusy(false);
    }
  }

  return (
    <main className="entry">
      <h1>{title}</h1>
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
      </form>
      {footer}
    </main>
  );
}
