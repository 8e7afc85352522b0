import { useEffect } from "react";
import { Refused } from "../api/client";
import { usePlatform } from "../platform";
import { useAppDispatch, useAppSelector } from "../store";
import { peopleMet, personGone } from "./slice";

const asked = new Set<string>();

/** Learns the names of everybody who is in a conversation, or said something there and left. */
export function useIntroductions(): void {
  const platform = usePlatform();
  const dispatch = useAppDispatch();
  const conversations = useAppSelector((state) => state.conversations.byId);
  const messages = useAppSelector((state) => state.messages);
  const known = useAppSelector((state) => state.people.known);

  useEffect(() => {
    const members = Object.values(conversations).flatMap((conversation) => conversation.members.map((member) => member.userId));
    const senders = Object.values(messages).flatMap((timeline) => Object.values(timeline.byId).map((message) => message.senderId));
    const strangers = new Set([...members, ...senders].filter((id) => !known[id] && !asked.has(id)));
    for (const id of strangers) {
      asked.add(id);
      platform.api
        .user(id)
        .then(
          (user) => dispatch(peopleMet([user])),
          (error: unknown) => {
            if (error instanceof Refused && error.problem.status === 404) dispatch(personGone(id));
          },
        )
        .finally(() => asked.delete(id));
    }
  }, [conversations, dispatch, known, messages, platform]);
}
