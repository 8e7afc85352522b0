import { useEffect, useRef, type ReactNode } from "react";

/** The heading of a step that has just taken the place of another: read out, and where the keyboard goes on. */
export function StepHeading({ children }: { children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <h3 ref={heading} tabIndex={-1}>
      {children}
    </h3>
  );
}
