import { describe, expect, it } from "vitest";
import type { Message } from "../src/api/wire";
import { historyLoaded, inOrder, leavesGap, messages, messagesReceived, messageWritten, type Messages } from "../src/messages/slice";

const C = "conversation";

function message(seq: number, more: Partial<Message> = {}): Message {
  return { id: `m${seq}`, conversationId: C, seq, changeSeq: seq, senderId: "ada", text: `text ${seq}`, createdAt: "2026-01-01T00:00:00Z", ...more };
}

function after(...actions: Parameters<typeof messages>[1][]): Messages {
  return actions.reduce<Messages>(messages, {});
}

describe("a timeline", () => {
  it("shows messages by their number, however they arrive", () => {
    const state = after(messagesReceived({ messages: [message(3), message(1), message(2)] }));
    expect(inOrder(state[C]).map((one) => one.seq)).toEqual([1, 2, 3]);
  });

  it("keeps the newer of two versions of a message, also when the older comes later", () => {
    const edited = message(1, { changeSeq: 5, text: "edited" });
    const state = after(messagesReceived({ messages: [edited] }), messagesReceived({ messages: [message(1)] }));
    expect(inOrder(state[C]).map((one) => one.text)).toEqual(["edited"]);
    expect(state[C]?.cursor).toBe(5);
  });

  it("replaces what was written here by what the server stored, by its nonce", () => {
    const pending = { nonce: "n1", conversationId: C, text: "hi", writtenAt: "2026-01-01T00:00:00Z" };
    const state = after(messageWritten(pending), messagesReceived({ messages: [message(1, { nonce: "n1" })] }));
    expect(state[C]?.pending).toEqual([]);
    expect(inOrder(state[C])).toHaveLength(1);
  });

  it("starts its cursor at the newest change of the first page of history", () => {
    const state = after(historyLoaded({ conversationId: C, messages: [message(8), message(7, { changeSeq: 9 })] }));
    expect(state[C]?.cursor).toBe(9);
  });

  it("does not move its cursor back or forth when older pages are loaded", () => {
    const state = after(
      historyLoaded({ conversationId: C, messages: [message(8)], older: "cursor" }),
      historyLoaded({ conversationId: C, messages: [message(2, { changeSeq: 20 })] }),
    );
    expect(state[C]?.cursor).toBe(8);
    expect(state[C]?.older).toBeUndefined();
  });

  it("notices a change that did not arrive", () => {
    const state = after(historyLoaded({ conversationId: C, messages: [message(4)] }));
    expect(leavesGap(state[C], message(5))).toBe(false);
    expect(leavesGap(state[C], message(6))).toBe(true);
  });
});
