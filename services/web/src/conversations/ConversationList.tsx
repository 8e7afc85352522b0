import { Link } from "react-router";
import { Avatar } from "../people/Avatar";
import { FindPeople } from "../people/FindPeople";
import { useAppSelector } from "../store";
import { hasNews, inOrder, nameOf, otherOf } from "./slice";

export function ConversationList({ me, openId }: { me: string; openId: string | undefined }) {
  const conversations = useAppSelector((state) => state.conversations);
  const known = useAppSelector((state) => state.people.known);
  return (
    <nav className="conversations" aria-label="Conversations">
      <FindPeople me={me} />
      <ul>
        {inOrder(conversations).map((conversation) => {
          const name = nameOf(conversation, me, known);
          const other = known[otherOf(conversation, me) ?? ""];
          const news = conversation.id !== openId && hasNews(conversation, me);
          return (
            <li key={conversation.id}>
              <Link to={`/c/${conversation.id}`} aria-current={conversation.id === openId ? "page" : undefined} className={news ? "news" : ""}>
                <Avatar name={name} mediaId={other?.avatarId} />
                {name}
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
