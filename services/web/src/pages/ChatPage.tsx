import { useEffect } from "react";
import { Link, useParams } from "react-router";
import type { Account } from "../api/wire";
import { ConversationList } from "../conversations/ConversationList";
import { conversationsLoaded, withNews } from "../conversations/slice";
import { Conversation } from "../messages/Conversation";
import { Avatar } from "../people/Avatar";
import { useIntroductions } from "../people/introductions";
import { usePlatform } from "../platform";
import { useAppDispatch, useAppSelector } from "../store";

/** The list of conversations beside the open one; on a narrow screen one of the two. */
export function ChatPage({ account }: { account: Account }) {
  const platform = usePlatform();
  const dispatch = useAppDispatch();
  const { conversationId } = useParams();
  const connection = useAppSelector((state) => state.connection);
  const open = useAppSelector((state) => (conversationId ? state.conversations.byId[conversationId] : undefined));
  useIntroductions();

  const news = useAppSelector((state) => withNews(state.conversations, account.id, conversationId));
  useEffect(() => {
    document.title = news === 0 ? "Chat" : `(${news}) Chat`;
    return () => {
      document.title = "Chat";
    };
  }, [news]);

  // Asked again after every reconnection: conversations may have begun while this page was away.
  useEffect(() => {
    if (connection !== "connected") return;
    let stale = false;
    void platform.api.conversations().then(
      (page) => !stale && dispatch(conversationsLoaded(page.items)),
      () => undefined, // The next reconnection asks again; the connection's state is on the screen.
    );
    return () => {
      stale = true;
    };
  }, [connection, dispatch, platform]);

  return (
    <div className={conversationId ? "chat chat-open" : "chat"}>
      <header className="bar">
        <Link to="/account" className="me" aria-label={`Your account, ${account.displayName}`}>
          <Avatar name={account.displayName} mediaId={account.avatarId} />
          <strong>{account.displayName}</strong>
        </Link>
        <span role="status" className={`connection ${connection}`}>
          {connection === "connected" ? "Connected" : "Reconnecting…"}
        </span>
        <button type="button" className="quiet" onClick={() => void platform.logOut()}>
          Log out
        </button>
      </header>
      <ConversationList me={account.id} openId={conversationId} />
      {open ? (
        <Conversation key={open.id} conversation={open} me={account.id} />
      ) : (
        <main className="nothing">
          <p>Choose a conversation, or start one by finding somebody.</p>
        </main>
      )}
    </div>
  );
}
