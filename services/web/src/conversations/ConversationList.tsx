import { Link } from "react-router";
import type { Conversation } from "../api/wire";
import { FindPeople } from "../people/FindPeople";
import { useAppSelector } from "../store";
import { inOrder, nameOf } from "./slice";

export function ConversationList({ me, openId }: { me: string; openId: string | undefined }) {
  const conversations = useAppSelector((state) => state.conversations);
  const known = useAppSelector((state) => state.people.known);
  return (
    <nav className="conversations" aria-label="Conversations">
      <FindPeople me={me} />
      <ul>
        {inOrder(conversations).map((conversation) => {
          const news = conversation.id !== openId && hasNews(conversation, me);
          return (
            <li key={conversation.id}>
              <Link to={`/c/${conversation.id}`} aria-current={conversation.id === openId ? "page" : undefined} className={news ? "news" : ""}>
                {nameOf(conversation, me, known)}
                {news && <span className="badge"> new</span>}
              </Link>
            </li>
          );
        })}
      </ul>
      {conversations.loaded && Object.keys(conversations.byId).length === 0 && <p className="hint">No conversations yet.</p>}
    </nav>
  );
}

function hasNews(conversation: Conversation, me: string): boolean {
  return conversation.lastMessageAt !== undefined && conversation.seq > (conversation.read[me] ?? 0);
}
