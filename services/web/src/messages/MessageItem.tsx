import { useState } from "react";
import type { Message } from "../api/wire";
import { Avatar } from "../people/Avatar";
import { usePlatform } from "../platform";
import { useAppDispatch } from "../store";
import { pendingDropped, type Pending } from "./slice";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

interface Props {
  message: Message;
  mine: boolean;
  sender: string;
  /** The sender's picture. */
  picture: string | undefined;
}

export function MessageItem({ message, mine, sender, picture }: Props) {
  const platform = usePlatform();
  const [draft, setDraft] = useState<string | null>(null);
  const [failure, setFailure] = useState<string | null>(null);

  async function settle(answer: ReturnType<typeof platform.realtime.remove>) {
    const result = await answer;
    if (result.ok) setDraft(null);
    setFailure(result.ok ? null : (result.error.detail ?? result.error.title));
  }

  if (message.deletedAt !== undefined) {
    return (
      <li className={mine ? "message mine" : "message"}>
        <em>Message deleted</em>
      </li>
    );
  }
  return (
    <li className={mine ? "message mine" : "message"}>
      <span className="sender">
        <Avatar name={sender} mediaId={picture} />
        {sender}
      </span>
      {draft === null ? (
        <p>{message.text}</p>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (draft.trim() !== "") void settle(platform.realtime.edit(message, draft.trim()));
          }}
        >
          <input aria-label="Edit message" value={draft} autoFocus onChange={(event) => setDraft(event.target.value)} />
          <button type="submit">Save</button>
          <button type="button" className="quiet" onClick={() => setDraft(null)}>
            Cancel
          </button>
        </form>
      )}
      <span className="about">
        <time dateTime={message.createdAt}>{clock.format(new Date(message.createdAt))}</time>
        {message.editedAt !== undefined && " · edited"}
        {mine && draft === null && (
          <>
            {" "}
            <button type="button" className="quiet" onClick={() => setDraft(message.text)}>
              Edit
            </button>
            <button type="button" className="quiet" onClick={() => void settle(platform.realtime.remove(message))}>
              Delete
            </button>
          </>
        )}
      </span>
      {failure !== null && (
        <span role="alert" className="error">
          {failure}
        </span>
      )}
    </li>
  );
}

/** A message on its way, or one that the server refused. */
export function PendingItem({ pending }: { pending: Pending }) {
  const dispatch = useAppDispatch();
  return (
    <li className="message mine pending">
      <p>{pending.text}</p>
      {pending.refused === undefined ? (
        <span className="about">Sending…</span>
      ) : (
        <span role="alert" className="error">
          Not sent: {pending.refused}{" "}
          <button type="button" className="quiet" onClick={() => dispatch(pendingDropped(pending))}>
            Discard
          </button>
        </span>
      )}
    </li>
  );
}
