// @vitest-environment node
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server, type Socket } from "socket.io";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Message } from "../src/api/wire";
import { historyLoaded } from "../src/messages/slice";
import { Realtime } from "../src/realtime/realtime";
import { makeStore, type Store } from "../src/store";

const C = "01JCONVERSATION";

interface Sent {
  text: string;
  nonce: string;
}

/** One conversation behind the reference Socket.IO server, with the acknowledgements of the platform's interface. */
class ConversationServer {
  log: Message[] = [];
  sockets: Socket[] = [];
  swallow = 0;

  constructor(readonly http: HttpServer) {
    new Server(http).on("connection", (socket) => {
      this.sockets.push(socket);
      socket.on("message:send", (body: Sent, answer: (ack: unknown) => void) => {
        const message = this.log.find((one) => one.nonce === body.nonce) ?? this.store(body);
        if (this.swallow-- > 0) return void socket.conn.close();
        answer({ ok: true, message });
      });
      socket.on("resume", ({ cursors }: { cursors: Record<string, number> }, answer: (ack: unknown) => void) => {
        const missed = this.log.filter((one) => one.seq > (cursors[C] ?? 0));
        answer({ ok: true, changes: { [C]: missed.slice(0, 2) }, more: missed.length > 2 ? [C] : [] });
      });
    });
  }

  store({ text, nonce }: Sent): Message {
    const seq = this.log.length + 1;
    const message = { id: `m${seq}`, conversationId: C, seq, changeSeq: seq, senderId: "bob", text, nonce, createdAt: "2026-01-01T00:00:00Z" };
    this.log.push(message);
    return message;
  }
}

describe("the live connection", () => {
  let server: ConversationServer;
  let store: Store;
  let realtime: Realtime;

  beforeEach(async () => {
    const http = createServer();
    server = new ConversationServer(http);
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    store = makeStore();
    store.dispatch(historyLoaded({ conversationId: C, messages: [] }));
    const tokens = { accessToken: () => Promise.resolve("token"), reject: () => undefined };
    realtime = new Realtime(store, tokens, () => undefined, `http://127.0.0.1:${(http.address() as AddressInfo).port}`);
  });
  afterEach(() => {
    realtime.close();
    server.http.closeAllConnections();
    server.http.close();
  });

  const texts = () => Object.values(store.getState().messages[C]?.byId ?? {}).map((one) => one.text);
  const pending = () => store.getState().messages[C]?.pending.length;

  it("sends what was written before there was a connection", async () => {
    realtime.write(C, "early");
    realtime.open();
    await vi.waitFor(() => expect(texts()).toEqual(["early"]));
    expect(pending()).toBe(0);
  });

  it("asks after a connection for everything it missed, until there is no more", async () => {
    for (const n of [1, 2, 3, 4, 5]) server.store({ text: `missed ${n}`, nonce: `n${n}` });
    realtime.open();
    await vi.waitFor(() => expect(texts()).toEqual(["missed 1", "missed 2", "missed 3", "missed 4", "missed 5"]));
  });

  it("fetches the message before one that leaves a gap", async () => {
    realtime.open();
    await vi.waitFor(() => expect(server.sockets[0]?.connected).toBe(true));
    server.store({ text: "lost on the way", nonce: "a" });
    const late = server.store({ text: "arrived", nonce: "b" });
    server.sockets[0]?.emit("message:new", late);
    await vi.waitFor(() => expect(texts().sort()).toEqual(["arrived", "lost on the way"]));
  });

  it("forgets with a connection who was online and typing, and with somebody's going that they type", { timeout: 15_000 }, async () => {
    const online = () => Object.keys(store.getState().people.online).filter((id) => store.getState().people.online[id]);
    const typing = () => Object.keys(store.getState().conversations.typing[C] ?? {});
    const tell = (socket: Socket | undefined, userId: string) => {
      socket?.emit("presence", { userId, online: true });
      socket?.emit("typing", { conversationId: C, userId, active: true });
    };
    realtime.open();
    await vi.waitFor(() => expect(server.sockets[0]?.connected).toBe(true));
    tell(server.sockets[0], "ada");
    tell(server.sockets[0], "bob");
    await vi.waitFor(() => expect(typing()).toEqual(["ada", "bob"]));
    server.sockets[0]?.emit("presence", { userId: "ada", online: false });
    await vi.waitFor(() => expect(typing()).toEqual(["bob"]));
    expect(online()).toEqual(["bob"]);
    // Bob goes while nobody can tell.
    server.sockets[0]?.conn.close();
    await vi.waitFor(() => expect(server.sockets[1]?.connected).toBe(true), 12_000);
    tell(server.sockets[1], "cleo");
    await vi.waitFor(() => expect(typing()).toEqual(["cleo"]));
    expect(online()).toEqual(["cleo"]);
  });

  it("shows a message once when its acknowledgement was lost", { timeout: 15_000 }, async () => {
    server.swallow = 1;
    realtime.open();
    await vi.waitFor(() => expect(store.getState().connection).toBe("connected"));
    realtime.write(C, "once");
    await vi.waitFor(() => expect(pending()).toBe(0), 12_000);
    expect(texts()).toEqual(["once"]);
    expect(server.log).toHaveLength(1);
  });
});
