import { useEffect } from "react";
import { usePlatform } from "../platform";
import { useAppDispatch, useAppSelector } from "../store";
import { peopleMet } from "./slice";

const asked = new Set<string>();

/** Learns the names of everybody who appears in a conversation. */
export function useIntroductions(): void {
  const platform = usePlatform();
  const dispatch = useAppDispatch();
  const conversations = useAppSelector((state) => state.conversations.byId);
  const known = useAppSelector((state) => state.people.known);

  useEffect(() => {
    const strangers = Object.values(conversations)
      .flatMap((conversation) => conversation.members.map((member) => member.userId))
      .filter((id) => !known[id] && !asked.has(id));
    for (const id of new Set(strangers)) {
      asked.add(id);
      platform.api
        .user(id)
        .then((user) => dispatch(peopleMet([user])))
        .catch(() => undefined)
        .finally(() => asked.delete(id));
    }
  }, [conversations, dispatch, known, platform]);
}
