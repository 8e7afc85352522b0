// One person's Socket.IO connection: the official client with its default transports, told what to do by JSON
// lines on standard input and answering each with one JSON line on standard output.
//
//   {"id": 1, "do": "connect", "url": "https://...", "token": "..."}         -> {"id": 1, "socket": "..."}     "transports": [...] if not all
//   {"id": 2, "do": "emit", "event": "...", "data": {...}, "timeout": 5000}   -> {"id": 2, "answer": {...}}
//   {"id": 3, "do": "burst", "event": "...", "list": [...], "timeout": ...}   -> {"id": 3, "answers": [...]}
//   {"id": 4, "do": "wait", "event": "...", "count": 300, "timeout": 5000}    -> {"id": 4, "received": [...]}
//   {"id": 5, "do": "disconnect"}                                             -> {"id": 5}
//
// What goes wrong is answered as {"id": ..., "error": "..."}. Every event received is kept until the process ends.

import { io } from "socket.io-client";
import { obey } from "./orders.mjs";

let socket;
let token;
let connections = 0;
const received = new Map();
const waiting = new Set();

const actions = {
  connect({ url, token: given, transports }) {
    token = given ?? token;
    if (!socket) {
      // The token is asked for at each connection, as a client whose token is renewed does.
      socket = io(url, { auth: (give) => give({ token }), autoConnect: false, ...(transports && { transports }) });
      socket.onAny(keep);
      socket.on("connect", () => (connections += 1));
    }
    return new Promise((resolve, reject) => {
      socket.once("connect", () => {
        socket.off("connect_error", reject);
        resolve({ socket: socket.id, transport: socket.io.engine.transport.name });
      });
      socket.once("connect_error", reject);
      socket.connect();
    });
  },

  async emit({ event, data, timeout = 10_000 }) {
    return { answer: await socket.timeout(timeout).emitWithAck(event, data) };
  },

  async burst({ event, list, timeout = 30_000 }) {
    return { answers: await Promise.all(list.map((data) => socket.timeout(timeout).emitWithAck(event, data))) };
  },

  wait({ event, count = 1, timeout = 10_000 }) {
    return new Promise((resolve, reject) => {
      const waiter = () => {
        const list = of(event);
        if (list.length < count) return;
        waiting.delete(waiter);
        clearTimeout(timer);
        resolve({ received: list });
      };
      const timer = setTimeout(() => {
        waiting.delete(waiter);
        reject(new Error(`${of(event).length} of ${count} ${event} came within ${timeout} ms`));
      }, timeout);
      waiting.add(waiter);
      waiter();
    });
  },

  state() {
    return { connections, transport: socket.io.engine?.transport.name };
  },

  disconnect() {
    return new Promise((resolve) => {
      socket.once("disconnect", () => resolve({}));
      socket.disconnect();
    });
  },
};

function of(event) {
  return received.get(event) ?? [];
}

function keep(event, data) {
  received.set(event, [...of(event), data]);
  for (const waiter of waiting) waiter();
}

obey(actions);
