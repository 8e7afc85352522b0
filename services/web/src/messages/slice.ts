import { createSlice, type PayloadAction } from "@reduxjs/toolkit";
import type { Message } from "../api/wire";
import { loggedOut } from "../session/slice";

/** Written here, not yet known to be stored. It is sent again under the same nonce until the server answers. */
export interface Pending {
  nonce: string;
  conversationId: string;
  text: string;
  writtenAt: string;
  refused?: string;
}

export interface Timeline {
  byId: Record<string, Message>;
  pending: Pending[];
  /** Every change up to this one has been received: where `resume` starts. */
  cursor: number;
  /** Where older messages go on; absent when the beginning is reached. */
  older?: string;
  loaded: boolean;
}

export type Messages = Record<string, Timeline>;

const empty: Messages = {};

const slice = createSlice({
  name: "messages",
  initialState: empty,
  reducers: {
    messageWritten: (state, { payload }: PayloadAction<Pending>) => {
      timelineOf(state, payload.conversationId).pending.push(payload);
    },
    messageRefused: (state, { payload }: PayloadAction<{ conversationId: string; nonce: string; reason: string }>) => {
      const pending = timelineOf(state, payload.conversationId).pending.find((one) => one.nonce === payload.nonce);
      if (pending) pending.refused = payload.reason;
    },
    pendingDropped: (state, { payload }: PayloadAction<{ conversationId: string; nonce: string }>) => {
      dropPending(timelineOf(state, payload.conversationId), payload.nonce);
    },
    historyLoaded: (
      state,
      { payload }: PayloadAction<{ conversationId: string; messages: Message[]; older?: string }>,
    ) => {
      const timeline = timelineOf(state, payload.conversationId);
      for (const message of payload.messages) keepNewer(timeline, message);
      // The newest page holds every later message, but changes of older ones may be outside of it: they come with that page.
      if (!timeline.loaded) timeline.cursor = payload.messages.reduce((top, one) => Math.max(top, changeOf(one)), timeline.cursor);
      timeline.loaded = true;
      delete timeline.older;
      if (payload.older !== undefined) timeline.older = payload.older;
    },
    messagesReceived: (state, { payload }: PayloadAction<{ messages: Message[] }>) => {
      for (const message of payload.messages) {
        const timeline = timelineOf(state, message.conversationId);
        keepNewer(timeline, message);
        timeline.cursor = Math.max(timeline.cursor, changeOf(message));
        if (message.nonce !== undefined) dropPending(timeline, message.nonce);
      }
    },
  },
  extraReducers: (builder) => builder.addCase(loggedOut, () => empty),
});

export const { messageWritten, messageRefused, pendingDropped, historyLoaded, messagesReceived } = slice.actions;
export const messages = slice.reducer;

/** The message's last change: the number a cursor counts. */
export function changeOf(message: Message): number {
  return message.changeSeq ?? message.seq;
}

/** Oldest first, as they are shown. */
export function inOrder(timeline: Timeline | undefined): Message[] {
  return timeline ? Object.values(timeline.byId).sort((a, b) => a.seq - b.seq) : [];
}

/** Did something before this change not arrive? */
export function leavesGap(timeline: Timeline | undefined, message: Message): boolean {
  return timeline !== undefined && timeline.loaded && changeOf(message) > timeline.cursor + 1;
}

function timelineOf(state: Messages, conversationId: string): Timeline {
  return (state[conversationId] ??= { byId: {}, pending: [], cursor: 0, loaded: false });
}

function keepNewer(timeline: Timeline, message: Message): void {
  const held = timeline.byId[message.id];
  if (!held || changeOf(held) <= changeOf(message)) timeline.byId[message.id] = message;
}

function dropPending(timeline: Timeline, nonce: string): void {
  timeline.pending = timeline.pending.filter((one) => one.nonce !== nonce);
}
