// Keeps sockets of the official Socket.IO client, which holds no cookies in Node, and asks their server who it is.
//
//   node sockets.mjs URL TRANSPORTS SOCKETS
//
// Each line on standard input asks every socket four times in a row; a line of JSON on standard output tells the answers, a list for each
// socket, and the transports that they have by then.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, transports, count] = process.argv.slice(2);
const options = { forceNew: true, transports: transports.split(","), reconnectionDelay: 100, reconnectionDelayMax: 500 };
const sockets = Array.from({ length: Number(count) }, () => io(url, options));

async function ask(socket) {
  for (;;) {
    try {
      return await socket.timeout(3000).emitWithAck("where");
    } catch {
      // Its connection broke: once it has another, ask there.
    }
  }
}

for await (const _ of createInterface({ input: process.stdin })) {
  const answers = await Promise.all(
    sockets.map(async (socket) => [await ask(socket), await ask(socket), await ask(socket), await ask(socket)]),
  );
  const names = sockets.map((socket) => socket.io.engine.transport.name);
  process.stdout.write(`${JSON.stringify({ answers, transports: names })}\n`);
}
process.exit(0);
