import { useEffect, useRef, useState, type KeyboardEvent } from "react";
import { usePlatform } from "../platform";

const TYPING_ENDS_AFTER_MS = 4_000;

export function Composer({ conversationId }: { conversationId: string }) {
  const platform = usePlatform();
  const [text, setText] = useState("");
  const typing = useRef<ReturnType<typeof setTimeout> | null>(null);

  function noteTyping() {
    if (typing.current === null) platform.realtime.typing(conversationId, true);
    else clearTimeout(typing.current);
    typing.current = setTimeout(endTyping, TYPING_ENDS_AFTER_MS);
  }

  function endTyping() {
    if (typing.current === null) return;
    clearTimeout(typing.current);
    typing.current = null;
    platform.realtime.typing(conversationId, false);
  }

  useEffect(() => endTyping, [conversationId]);

  function send() {
    const wanted = text.trim();
    if (wanted === "") return;
    endTyping();
    platform.realtime.write(conversationId, wanted);
    setText("");
  }

  function onKeyDown(event: KeyboardEvent<HTMLTextAreaElement>) {
    // Enter that ends a composition (Japanese, Chinese, ...) belongs to the input method.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  }

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        aria-label="Message"
        placeholder="Write a message"
        rows={1}
        maxLength={8000}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          noteTyping();
        }}
        onKeyDown={onKeyDown}
      />
      <button type="submit" disabled={text.trim() === ""}>
        Send
      </button>
    </form>
  );
}
