import type { ReactNode } from "react";
import type { Refused } from "../api/client";
import { Form } from "./Form";

interface Props {
  title: string;
  action: string;
  notice?: string | undefined;
  submit: (values: Record<string, string>) => Promise<void>;
  children: (refused: Refused | null) => ReactNode;
  footer: ReactNode;
}

/** What logging in and registering have in common: a page with one form. */
export function EntryForm({ title, action, notice, submit, children, footer }: Props) {
  return (
    <main className="entry">
      <h1>{title}</h1>
      <Form action={action} notice={notice} submit={submit}>
        {children}
      </Form>
      {footer}
    </main>
  );
}
