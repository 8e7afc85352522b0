// Looks at whoever terminates TLS for a platform, at a port of this machine: told what to do by JSON lines on standard input and answering
// each with one JSON line on standard output. Requests share one connection for as long as that stays open.
//
//   node edge.mjs PORT HOST
//   {"id": 1, "do": "certificate"}                                                -> {"id": 1, "certificate": "-----BEGIN ..."}
//   {"id": 2, "do": "request", "method": "GET", "path": "/", "headers": {...}}    -> {"id": 2, "status": 200, "body": "...", "connection": 40321}
//   {"id": 3, "do": "upgrade", "path": "/socket.io/?..."}                         -> {"id": 3, "status": 101, "first": "0{...}"}
//
// A certificate is shown by a new connection, which resumes nothing; whether it is to be trusted is for who asks to say. `connection` is the
// port on this side. What goes wrong is answered as {"id": ..., "error": "..."}.

import { Agent, request } from "node:https";
import { connect } from "node:tls";
import { text } from "node:stream/consumers";
import { obey } from "./orders.mjs";

const [port, name] = process.argv.slice(2);
const server = { host: "127.0.0.1", port: Number(port), servername: name, rejectUnauthorized: false };
const agent = new Agent({ ...server, keepAlive: true, maxSockets: 1 });
const LIMIT = 10_000;

const actions = {
  certificate() {
    return new Promise((resolve, reject) => {
      const socket = connect(server, () => {
        resolve({ certificate: socket.getPeerX509Certificate().toString() });
        socket.end();
      });
      socket.setTimeout(LIMIT, () => socket.destroy(new Error(`no handshake within ${LIMIT} ms`)));
      socket.on("error", reject);
    });
  },

  request({ method = "GET", path, headers = {}, body }) {
    return new Promise((resolve, reject) => {
      const sent = request({ ...server, agent, method, path, headers: { host: name, ...headers }, timeout: LIMIT }, async (answer) => {
        const connection = answer.socket.localPort;
        resolve({ status: answer.statusCode, location: answer.headers.location, body: await text(answer), connection });
      });
      sent.on("timeout", () => sent.destroy(new Error(`no answer within ${LIMIT} ms`)));
      sent.on("error", reject);
      sent.end(body);
    });
  },

  upgrade({ path }) {
    const headers = {
      host: name,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": Buffer.from("a nonce 16 bytes").toString("base64"),
    };
    return new Promise((resolve, reject) => {
      const sent = request({ ...server, agent: false, path, headers, timeout: LIMIT }, async (answer) => {
        reject(new Error(`answered ${answer.statusCode}: ${await text(answer)}`));
      });
      sent.on("upgrade", (answer, socket, head) => {
        const told = (bytes) => resolve({ status: answer.statusCode, first: payload(bytes) });
        if (head.length > 0) told(head);
        else socket.once("data", told);
        socket.on("error", reject);
      });
      sent.on("timeout", () => sent.destroy(new Error(`no answer within ${LIMIT} ms`)));
      sent.on("error", reject);
      sent.end();
    });
  },
};

// The text of a server's frame (RFC 6455, section 5.2), which is shorter than 64 KiB.
function payload(frame) {
  const length = frame[1] & 0x7f;
  return frame.subarray(length === 126 ? 4 : 2).toString("utf8");
}

obey(actions);
