import { io, type Socket } from "socket.io-client";
import type { TokenSource } from "../api/client";
import type { Acknowledgement, Changes, Conversation, Message } from "../api/wire";
import { conversationChanged, readUpTo, typingChanged } from "../conversations/slice";
import { leavesGap, messageRefused, messagesReceived, messageWritten, type Pending } from "../messages/slice";
import { presenceChanged, presenceForgotten } from "../people/slice";
import { connectionChanged, type Store } from "../store";

const ANSWER_WITHIN_MS = 10_000;

/**
 * The live connection. It promises that what the server acknowledged is shown, and that what is written here is sent:
 * after every (re)connection it first asks for all it missed, then sends again what was not acknowledged.
 */
export class Realtime {
  private readonly socket: Socket;
  private resuming: Promise<void> | null = null;
  private again = false;

  constructor(
    private readonly store: Store,
    tokens: TokenSource,
    private readonly sessionEnded: () => void,
    url = window.location.origin,
  ) {
    this.socket = io(url, {
      autoConnect: false,
      auth: (give) => {
        tokens.accessToken().then(
          (token) => give({ token }),
          () => give({}),
        );
      },
    });
    this.socket.on("connect", () => {
      store.dispatch(presenceForgotten());
      store.dispatch(connectionChanged("connected"));
      void this.catchUp().then(() => this.sendPending());
    });
    this.socket.on("disconnect", (reason) => {
      store.dispatch(connectionChanged("connecting"));
      // The library reconnects by itself unless the server closed the socket, say because it stops or the token ended.
      if (reason === "io server disconnect") this.socket.connect();
    });
    // A refused handshake carries the problem's code as its message.
    this.socket.on("connect_error", (error: Error) => {
      store.dispatch(connectionChanged("connecting"));
      if (!this.socket.active) void this.retryRefused(tokens, error);
    });
    this.socket.on("session:revoked", () => this.sessionEnded());
    this.listen();
  }

  open(): void {
    this.store.dispatch(connectionChanged("connecting"));
    this.socket.connect();
  }

  close(): void {
    this.socket.disconnect();
    this.store.dispatch(connectionChanged("idle"));
  }

  /** Shows the message at once and sends it when there is a connection. */
  write(conversationId: string, text: string): void {
    const pending: Pending = { nonce: crypto.randomUUID(), conversationId, text, writtenAt: new Date().toISOString() };
    this.store.dispatch(messageWritten(pending));
    if (this.socket.connected) void this.send(pending);
  }

  edit(message: Message, text: string): Promise<Acknowledgement<{ message: Message }>> {
    return this.change("message:edit", { conversationId: message.conversationId, messageId: message.id, text });
  }

  remove(message: Message): Promise<Acknowledgement<{ message: Message }>> {
    return this.change("message:delete", { conversationId: message.conversationId, messageId: message.id });
  }

  read(conversationId: string, seq: number): void {
    if (this.socket.connected) this.socket.emit("conversation:read", { conversationId, seq });
  }

  typing(conversationId: string, active: boolean): void {
    if (this.socket.connected) this.socket.volatile.emit("typing", { conversationId, active });
  }

  private listen(): void {
    const { dispatch } = this.store;
    this.socket.on("message:new", (message: Message) => this.receive(message));
    this.socket.on("message:updated", (message: Message) => this.receive(message));
    // Only says which one is gone; the change itself comes by `resume`, like everything else that was missed.
    this.socket.on("message:deleted", () => void this.catchUp());
    this.socket.on("conversation:new", (conversation: Conversation) => dispatch(conversationChanged(conversation)));
    this.socket.on("conversation:updated", (conversation: Conversation) => dispatch(conversationChanged(conversation)));
    this.socket.on("conversation:read", (read: { conversationId: string; userId: string; seq: number }) => dispatch(readUpTo(read)));
    this.socket.on("typing", (typing: { conversationId: string; userId: string; active: boolean }) => dispatch(typingChanged(typing)));
    this.socket.on("presence", (presence: { userId: string; online: boolean }) => dispatch(presenceChanged(presence)));
  }

  private receive(message: Message): void {
    const gap = leavesGap(this.store.getState().messages[message.conversationId], message);
    if (gap) void this.catchUp();
    else this.store.dispatch(messagesReceived({ messages: [message] }));
  }

  /** Asks for every change since the cursors, until there are no more. Calls while it runs make it run once more. */
  private catchUp(): Promise<void> {
    if (this.resuming) {
      this.again = true;
      return this.resuming;
    }
    this.resuming = this.resume().finally(() => {
      this.resuming = null;
    });
    return this.resuming;
  }

  private async resume(): Promise<void> {
    let conversations = this.loadedConversations();
    do {
      this.again = false;
      const cursors = Object.fromEntries(conversations.map((id) => [id, this.store.getState().messages[id]?.cursor ?? 0]));
      if (conversations.length === 0) return;
      const answer = await this.ask<Changes>("resume", { cursors });
      if (!answer?.ok) return;
      for (const messages of Object.values(answer.changes)) this.store.dispatch(messagesReceived({ messages }));
      conversations = this.again ? this.loadedConversations() : answer.more;
    } while (conversations.length > 0);
  }

  private loadedConversations(): string[] {
    const { messages } = this.store.getState();
    return Object.keys(messages).filter((id) => messages[id]?.loaded);
  }

  private async sendPending(): Promise<void> {
    const waiting = Object.values(this.store.getState().messages).flatMap((timeline) => timeline.pending);
    for (const pending of waiting) if (pending.refused === undefined) await this.send(pending);
  }

  private async send({ conversationId, text, nonce }: Pending): Promise<void> {
    const answer = await this.ask<{ message: Message }>("message:send", { conversationId, text, nonce });
    if (answer === null) return; // No answer: it stays pending and goes out again after the next connection.
    if (answer.ok) this.store.dispatch(messagesReceived({ messages: [{ ...answer.message, nonce }] }));
    else this.store.dispatch(messageRefused({ conversationId, nonce, reason: answer.error.detail ?? answer.error.title }));
  }

  private async change(event: string, body: object): Promise<Acknowledgement<{ message: Message }>> {
    const answer = await this.ask<{ message: Message }>(event, body);
    if (answer?.ok) this.store.dispatch(messagesReceived({ messages: [answer.message] }));
    return answer ?? { ok: false, error: { type: "about:blank", title: "No connection. Please try again.", status: 0, code: "offline" } };
  }

  private async ask<T>(event: string, body: object): Promise<Acknowledgement<T> | null> {
    try {
      return (await this.socket.timeout(ANSWER_WITHIN_MS).emitWithAck(event, body)) as Acknowledgement<T>;
    } catch {
      return null;
    }
  }

  private async retryRefused(tokens: TokenSource, error: Error): Promise<void> {
    // The handshake's token was refused. With a fresh one it may pass; without one the session has ended elsewhere.
    const token = await tokens.accessToken().catch(() => null);
    if (token === null) return;
    if (error.message !== "unavailable") tokens.reject(token);
    setTimeout(() => this.socket.connect(), 1000 + Math.random() * 2000);
  }
}
