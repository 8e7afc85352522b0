import { useState } from "react";
import { StepHeading } from "./Heading";

/** The codes for the day the app is lost, shown this once. */
export function RecoveryCodes({ codes, kept }: { codes: string[]; kept: () => void }) {
  const [copied, setCopied] = useState<string | null>(null);
  const text = codes.join("\n");

  function copy() {
    navigator.clipboard.writeText(text).then(
      () => setCopied("Copied."),
      () => setCopied("This browser does not let the page copy. Please write them down."),
    );
  }

  return (
    <>
      <StepHeading>Keep your recovery codes</StepHeading>
      <p>
        Each of them lets you in once if you lose your authenticator app. They are not shown again: keep them where you keep important
        papers.
      </p>
      <ul className="codes" aria-label="Recovery codes">
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <p className="actions">
        <button type="button" onClick={copy}>
          Copy
        </button>
        <a href={`data:text/plain;charset=utf-8,${encodeURIComponent(`${text}\n`)}`} download="recovery-codes.txt">
          Save as a file
        </a>
        <button type="button" onClick={kept}>
          I have kept them
        </button>
      </p>
      <p role="status">{copied}</p>
    </>
  );
}
