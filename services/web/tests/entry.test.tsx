import { cleanup, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, describe, expect, it } from "vitest";
import { Refused } from "../src/api/client";
import { EntryForm } from "../src/pages/EntryForm";
import { Field } from "../src/pages/Field";

afterEach(cleanup);

function form(submit: (values: Record<string, string>) => Promise<void>) {
  return render(
    <EntryForm title="Create an account" action="Create account" submit={submit} footer={null}>
      {(refused) => <Field label="Username" name="username" autoComplete="username" error={refused?.field("username")} />}
    </EntryForm>,
  );
}

describe("a form at the entry", () => {
  it("hands over what was typed, by the fields' names", async () => {
    const handed: Record<string, string>[] = [];
    form(async (values) => void handed.push(values));
    await userEvent.type(screen.getByLabelText("Username"), "ada");
    await userEvent.click(screen.getByRole("button", { name: "Create account" }));
    expect(handed).toEqual([{ username: "ada" }]);
  });

  it("says at the field what the server refused, and lets the person try again", async () => {
    form(async () => {
      throw new Refused({ type: "", title: "Conflict", status: 409, code: "username-taken", errors: [{ field: "username", message: "This name is taken." }] });
    });
    await userEvent.type(screen.getByLabelText("Username"), "ada");
    await userEvent.click(screen.getByRole("button", { name: "Create account" }));
    const input = await screen.findByRole("textbox", { description: "This name is taken." });
    expect(input.getAttribute("aria-invalid")).toBe("true");
    expect(screen.getByRole("button", { name: "Create account" }).hasAttribute("disabled")).toBe(false);
  });
});
