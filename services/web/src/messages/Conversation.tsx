import { useEffect, useRef } from "react";
import { Link } from "react-router";
import type { Conversation as ConversationBody } from "../api/wire";
import { nameOf, readUpTo } from "../conversations/slice";
import { usePlatform } from "../platform";
import { useAppDispatch, useAppSelector } from "../store";
import { Composer } from "./Composer";
import { MessageItem, PendingItem } from "./MessageItem";
import { historyLoaded, inOrder } from "./slice";

/** One open conversation: its messages, who is typing, and where to write. */
export function Conversation({ conversation, me }: { conversation: ConversationBody; me: string }) {
  const platform = usePlatform();
  const dispatch = useAppDispatch();
  const timeline = useAppSelector((state) => state.messages[conversation.id]);
  const known = useAppSelector((state) => state.people.known);
  const typing = useAppSelector((state) => state.conversations.typing[conversation.id]);
  const connection = useAppSelector((state) => state.connection);
  const end = useRef<HTMLDivElement>(null);
  const shown = inOrder(timeline);
  const count = shown.length + (timeline?.pending.length ?? 0);
  const nameOfUser = (id: string) => known[id]?.displayName ?? "…";

  const loaded = timeline?.loaded ?? false;
  useEffect(() => {
    if (loaded || connection !== "connected") return;
    void load(undefined);
    // `load` is made anew at each render; what it depends on is listed.
  }, [conversation.id, loaded, connection]);

  useEffect(() => {
    // In braces: newer browsers answer with a promise, which is no clean-up.
    end.current?.scrollIntoView({ block: "end" });
  }, [count]);

  const readTo = conversation.seq;
  const wasRead = conversation.read[me] ?? 0;
  useEffect(() => {
    if (!loaded || connection !== "connected" || readTo <= wasRead || document.visibilityState !== "visible") return;
    platform.realtime.read(conversation.id, readTo);
    dispatch(readUpTo({ conversationId: conversation.id, userId: me, seq: readTo }));
  }, [connection, conversation.id, dispatch, loaded, me, platform, readTo, wasRead]);

  async function load(cursor: string | undefined) {
    const page = await platform.api.history(conversation.id, cursor).catch(() => null);
    if (!page) return; // The next reconnection loads it; the connection's state is on the screen.
    dispatch(
      historyLoaded({
        conversationId: conversation.id,
        messages: page.items,
        ...(page.nextCursor === undefined ? {} : { older: page.nextCursor }),
      }),
    );
  }

  const typists = Object.keys(typing ?? {}).filter((id) => typing?.[id] && id !== me);
  return (
    <main className="conversation">
      <header>
        <Link to="/" className="back" aria-label="All conversations">
          ‹
        </Link>
        <h1>{nameOf(conversation, me, known)}</h1>
      </header>
      <div className="timeline" tabIndex={0} role="log" aria-label="Messages" aria-live="polite">
        {timeline?.older !== undefined && (
          <button type="button" className="quiet" onClick={() => void load(timeline.older)}>
            Older messages
          </button>
        )}
        <ol>
          {shown.map((message) => (
            <MessageItem
              key={message.id}
              message={message}
              mine={message.senderId === me}
              sender={nameOfUser(message.senderId)}
              picture={known[message.senderId]?.avatarId}
            />
          ))}
          {timeline?.pending.map((pending) => (
            <PendingItem key={pending.nonce} pending={pending} />
          ))}
        </ol>
        <div ref={end} />
      </div>
      <p className="typing" aria-live="polite">
        {typists.length > 0 && `${typists.map(nameOfUser).join(", ")} ${typists.length === 1 ? "is" : "are"} typing…`}
      </p>
      <Composer conversationId={conversation.id} />
    </main>
  );
}
