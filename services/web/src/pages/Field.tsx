import { useId } from "react";

interface Props {
  label: string;
  name: string;
  type?: "text" | "email" | "password";
  autoComplete: string;
  hint?: string | undefined;
  error?: string | undefined;
  required?: boolean;
  /** The first field of what has just taken the place of something else: whoever uses a keyboard goes on there. */
  autoFocus?: boolean;
}

/** One labelled input; what is wrong with it is read out with it. */
export function Field({ label, name, type = "text", autoComplete, hint, error, required = true, autoFocus = false }: Props) {
  const id = useId();
  const described = error ?? hint;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        name={name}
        type={type}
        autoComplete={autoComplete}
        required={required}
        autoFocus={autoFocus}
        aria-invalid={error !== undefined}
        {...(described === undefined ? {} : { "aria-describedby": `${id}-about` })}
      />
      {described !== undefined && (
        <small id={`${id}-about`} className={error === undefined ? "hint" : "error"}>
          {described}
        </small>
      )}
    </div>
  );
}
