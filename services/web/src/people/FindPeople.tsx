import { useEffect, useId, useState } from "react";
import { useNavigate } from "react-router";
import type { User } from "../api/wire";
import { conversationChanged } from "../conversations/slice";
import { usePlatform } from "../platform";
import { useAppDispatch } from "../store";
import { peopleMet } from "./slice";

const WAIT_FOR_MORE_LETTERS_MS = 200;

/** Finds people by name and opens a conversation with one, or a group with several. */
export function FindPeople({ me }: { me: string }) {
  const platform = usePlatform();
  const dispatch = useAppDispatch();
  const navigate = useNavigate();
  const id = useId();
  const [query, setQuery] = useState("");
  const [found, setFound] = useState<User[]>([]);
  const [group, setGroup] = useState<User[]>([]);
  const [title, setTitle] = useState("");
  const [failure, setFailure] = useState<string | null>(null);

  useEffect(() => {
    const wanted = query.trim();
    if (wanted.length < 2) {
      setFound([]);
      return;
    }
    let stale = false;
    const timer = setTimeout(() => {
      platform.api.findPeople(wanted).then(
        (page) => !stale && setFound(page.items.filter((user) => user.id !== me)),
        () => !stale && setFailure("The search did not work. Please try again."),
      );
    }, WAIT_FOR_MORE_LETTERS_MS);
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [me, platform, query]);

  async function open(people: User[]) {
    try {
      const [first] = people;
      if (!first) return;
      const conversation =
        people.length === 1 && title === ""
          ? await platform.api.openDirect(first.id)
          : await platform.api.openGroup(title.trim() || people.map((user) => user.displayName).join(", "), people.map((user) => user.id));
      dispatch(peopleMet(people));
      dispatch(conversationChanged(conversation));
      setQuery("");
      setGroup([]);
      setTitle("");
      setFailure(null);
      await navigate(`/c/${conversation.id}`);
    } catch (error) {
      setFailure(error instanceof Error ? error.message : "That did not work. Please try again.");
    }
  }

  return (
    <section className="find" aria-label="Start a conversation">
      <label htmlFor={id}>Find people</label>
      <input id={id} type="search" value={query} placeholder="Name or username" onChange={(event) => setQuery(event.target.value)} />
      {failure !== null && (
        <p role="alert" className="error">
          {failure}
        </p>
      )}
      <ul aria-label="People found">
        {found.map((user) => (
          <li key={user.id}>
            <button type="button" onClick={() => void open([user])}>
              {user.displayName} <small>@{user.username}</small>
            </button>
            {!group.some((one) => one.id === user.id) && (
              <button type="button" className="quiet" aria-label={`Add ${user.displayName} to a group`} onClick={() => setGroup([...group, user])}>
                +
              </button>
            )}
          </li>
        ))}
      </ul>
      {group.length > 0 && (
        <form
          className="group"
          onSubmit={(event) => {
            event.preventDefault();
            void open(group);
          }}
        >
          <p>{group.map((user) => user.displayName).join(", ")}</p>
          <input aria-label="Title of the group" value={title} placeholder="Title of the group" required onChange={(event) => setTitle(event.target.value)} />
          <button type="submit">Start group</button>
        </form>
      )}
    </section>
  );
}
