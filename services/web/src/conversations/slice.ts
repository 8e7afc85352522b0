import { createSlice, type PayloadAction } from "@reduxjs/toolkit";
import type { Conversation, Message, User } from "../api/wire";
import { messagesReceived } from "../messages/slice";
import { presenceChanged, presenceForgotten } from "../people/slice";
import { loggedOut } from "../session/slice";

export interface Conversations {
  byId: Record<string, Conversation>;
  loaded: boolean;
  /** Who is typing where, by conversation, then by user. */
  typing: Record<string, Record<string, boolean>>;
}

const none: Conversations = { byId: {}, loaded: false, typing: {} };

const slice = createSlice({
  name: "conversations",
  initialState: none,
  reducers: {
    conversationsLoaded: (state, { payload }: PayloadAction<Conversation[]>) => {
      for (const conversation of payload) keepNewer(state, conversation);
      state.loaded = true;
    },
    conversationChanged: (state, { payload }: PayloadAction<Conversation>) => keepNewer(state, payload),
    readUpTo: (state, { payload }: PayloadAction<{ conversationId: string; userId: string; seq: number }>) => {
      const read = state.byId[payload.conversationId]?.read;
      if (read) read[payload.userId] = Math.max(read[payload.userId] ?? 0, payload.seq);
    },
    typingChanged: (state, { payload }: PayloadAction<{ conversationId: string; userId: string; active: boolean }>) => {
      (state.typing[payload.conversationId] ??= {})[payload.userId] = payload.active;
    },
  },
  extraReducers: (builder) =>
    builder
      .addCase(loggedOut, () => none)
      // Who is gone does not say that they stopped typing.
      .addCase(presenceForgotten, (state) => {
        state.typing = {};
      })
      .addCase(presenceChanged, (state, { payload }) => {
        if (!payload.online) for (const typing of Object.values(state.typing)) delete typing[payload.userId];
      })
      .addCase(messagesReceived, (state, { payload }) => {
        for (const message of payload.messages) noteMessage(state, message);
      }),
});

export const { conversationsLoaded, conversationChanged, readUpTo, typingChanged } = slice.actions;
export const conversations = slice.reducer;

/** Latest first. */
export function inOrder(state: Conversations): Conversation[] {
  const at = (conversation: Conversation) => conversation.lastMessageAt ?? conversation.createdAt;
  return Object.values(state.byId).sort((a, b) => at(b).localeCompare(at(a)) || b.id.localeCompare(a.id));
}

/** Whether something was said there that this person has not read, here or elsewhere. */
export function hasNews(conversation: Conversation, me: string): boolean {
  return conversation.lastMessageAt !== undefined && conversation.seq > (conversation.read[me] ?? 0);
}

/** In how many conversations, the open one aside. */
export function withNews(state: Conversations, me: string, openId: string | undefined): number {
  return Object.values(state.byId).filter((conversation) => conversation.id !== openId && hasNews(conversation, me)).length;
}

/** The other person of a direct conversation. */
export function otherOf(conversation: Conversation, me: string): string | undefined {
  return conversation.type === "direct" ? conversation.members.find((member) => member.userId !== me)?.userId : undefined;
}

/** A group's title, or the name of the other person. */
export function nameOf(conversation: Conversation, me: string, known: Record<string, User>): string {
  if (conversation.title) return conversation.title;
  const others = conversation.members.filter((member) => member.userId !== me);
  return others.map((member) => known[member.userId]?.displayName ?? "…").join(", ") || "Just you";
}

function keepNewer(state: Conversations, conversation: Conversation): void {
  const held = state.byId[conversation.id];
  if (held && held.updatedAt > conversation.updatedAt && held.seq > conversation.seq) return;
  state.byId[conversation.id] = conversation;
}

function noteMessage(state: Conversations, message: Message): void {
  const conversation = state.byId[message.conversationId];
  if (!conversation) return;
  conversation.seq = Math.max(conversation.seq, message.changeSeq ?? message.seq);
  if (message.createdAt > (conversation.lastMessageAt ?? "")) conversation.lastMessageAt = message.createdAt;
  const typing = state.typing[message.conversationId];
  if (typing) typing[message.senderId] = false;
}
