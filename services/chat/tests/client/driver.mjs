// Drives the official Socket.IO client: commands come in as lines of JSON on standard input, answers and events go out on standard output.
//
//   {id, do: "connect", socket, url, token, options}   -> {id, ok, error?}
//   {id, do: "ask", socket, event, body}               -> {id, ok: true, answer}        answer is what the server acknowledged with
//   {id, do: "burst", socket, event, bodies}           -> {id, ok: true, answers}       all emitted without waiting; [index, answer] as they came
//   {id, do: "fire", socket, event, args}              -> {id, ok: true}                emitted without asking for an acknowledgement
//   {id, do: "reconnect" | "disconnect", socket}       -> {id, ok, error?}
//   {socket, event, args}                              everything the server sent, and "disconnect"
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function connected(socket) {
  return new Promise((resolve) => {
    const done = (outcome) => {
      socket.off("connect", arrived);
      socket.off("connect_error", refused);
      resolve(outcome);
    };
    const arrived = () => done({ ok: true });
    const refused = (error) => done({ ok: false, error: error.message });
    socket.once("connect", arrived);
    socket.once("connect_error", refused);
  });
}

const commands = {
  async connect({ socket: name, url, token, options }) {
    const socket = io(url, { forceNew: true, auth: { token }, ...options });
    sockets.set(name, socket);
    socket.onAny((event, ...args) => say({ socket: name, event, args }));
    socket.on("disconnect", (reason) => say({ socket: name, event: "disconnect", args: [reason] }));
    return connected(socket);
  },
  async ask({ socket, event, body }) {
    return { ok: true, answer: await sockets.get(socket).emitWithAck(event, body) };
  },
  burst({ socket, event, bodies }) {
    return new Promise((resolve) => {
      const answers = [];
      bodies.forEach((body, index) => {
        sockets.get(socket).emit(event, body, (answer) => {
          answers.push([index, answer]);
          if (answers.length === bodies.length) resolve({ ok: true, answers });
        });
      });
    });
  },
  async fire({ socket, event, args }) {
    sockets.get(socket).emit(event, ...args);
    return { ok: true };
  },
  async reconnect({ socket: name }) {
    const socket = sockets.get(name);
    const outcome = connected(socket);
    socket.connect();
    return outcome;
  },
  async disconnect({ socket: name }) {
    const socket = sockets.get(name);
    const gone = new Promise((resolve) => socket.once("disconnect", resolve));
    socket.disconnect();
    await gone;
    return { ok: true };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  commands[command.do](command).then(
    (outcome) => say({ id: command.id, ...outcome }),
    (error) => say({ id: command.id, ok: false, error: String(error) }),
  );
}
process.exit(0);
