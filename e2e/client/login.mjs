// Tries whether a server lets a login in.
//
// Standard input: {"server": "mongodb" | "redis" | "rabbitmq", "uri": "..."}
// Standard output: {"refused": null} or {"refused": "the server's words"}
//
// Only a refusal of the login counts as one; anything else that goes wrong ends the program.

import amqp from "amqplib";
import { MongoClient } from "mongodb";
import { createClient } from "@redis/client";
import { text } from "node:stream/consumers";

const { server, uri } = JSON.parse(await text(process.stdin));

const servers = {
  async mongodb() {
    const client = new MongoClient(uri, { serverSelectionTimeoutMS: 10_000 });
    try {
      await client.connect();
      await client.db("admin").command({ ping: 1 });
    } finally {
      await client.close();
    }
  },

  async redis() {
    const client = createClient({ url: uri, socket: { reconnectStrategy: false } });
    client.on("error", () => {});
    await client.connect();
    await client.close();
  },

  async rabbitmq() {
    await (await amqp.connect(uri)).close();
  },
};

const isRefusal = {
  // Error 18 is AuthenticationFailed.
  mongodb: (error) => error.code === 18,
  redis: (error) => error.message.startsWith("WRONGPASS"),
  // The broker closes the connection in the middle of the handshake.
  rabbitmq: (error) => error.message.includes("ACCESS_REFUSED") || error.message.includes("ACCESS-REFUSED"),
};

let refused = null;
try {
  await servers[server]();
} catch (error) {
  if (!isRefusal[server](error)) throw error;
  refused = error.message;
}
process.stdout.write(JSON.stringify({ refused }));
