import { Link, useNavigate } from "react-router";
import { usePlatform } from "../platform";
import { EntryForm } from "./EntryForm";
import { Field } from "./Field";

export function RegisterPage() {
  const platform = usePlatform();
  const navigate = useNavigate();
  return (
    <EntryForm
      title="Create an account"
      action="Create account"
      submit={async ({ email = "", username = "", password = "", displayName = "" }) => {
        const name = displayName.trim();
        const tokens = await platform.gate.register({
          email: email.trim(),
          username: username.trim(),
          password,
          ...(name === "" ? {} : { displayName: name }),
        });
        platform.enter(tokens);
        await navigate("/", { replace: true });
      }}
      footer={
        <p>
          Already registered? <Link to="/">Log in</Link>
        </p>
      }
    >
      {(refused) => (
        <>
          <Field label="E-mail" name="email" type="email" autoComplete="email" error={refused?.field("email")} />
          <Field label="Username" name="username" autoComplete="username" error={refused?.field("username")} />
          <Field label="Name shown to others" name="displayName" autoComplete="name" required={false} error={refused?.field("displayName")} />
          <Field
            label="Password"
            name="password"
            type="password"
            autoComplete="new-password"
            hint="8 to 256 characters. Long is better than complicated."
            error={refused?.field("password")}
          />
        </>
      )}
    </EntryForm>
  );
}
