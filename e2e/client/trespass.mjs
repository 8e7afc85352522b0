// Tries what one service's credentials open: what is its own, and what is not.
//
// Standard input: {"server": "mongodb" | "redis" | "rabbitmq", "uri": "...", "own": "chat", "others": ["auth", ...]}
// Standard output: {"own": [{"what": "...", "refused": null}], "others": [{"what": "...", "refused": "the server's words"}]}
//
// Only a refusal for want of rights counts as one; anything else that goes wrong ends the program.

import amqp from "amqplib";
import { MongoClient } from "mongodb";
import { createClient } from "@redis/client";
import { text } from "node:stream/consumers";

const { server, uri, own, others } = JSON.parse(await text(process.stdin));
const result = { own: [], others: [] };

async function attempt(list, what, work, isRefusal) {
  try {
    await work();
    list.push({ what, refused: null });
  } catch (error) {
    if (!isRefusal(error)) throw new Error(`${what}: ${error.message}`, { cause: error });
    list.push({ what, refused: error.message });
  }
}

const servers = {
  async mongodb() {
    const client = new MongoClient(uri, { serverSelectionTimeoutMS: 10_000 });
    await client.connect();
    // Error 13 is Unauthorized.
    const tries = async (list, name) => {
      const probe = client.db(name).collection("probe_of_rights");
      await attempt(list, `read ${name}`, () => probe.findOne({}), (error) => error.code === 13);
      await attempt(list, `write ${name}`, () => probe.deleteOne({ _id: "nobody" }), (error) => error.code === 13);
    };
    await tries(result.own, own);
    for (const other of others) await tries(result.others, other);
    await attempt(result.others, "ask for the server's options", () => client.db("admin").command({ getCmdLineOpts: 1 }), (error) => error.code === 13);
    await client.close();
  },

  async redis() {
    const client = createClient({ url: uri });
    // Failures of single commands are told by those.
    client.on("error", () => {});
    await client.connect();
    const isRefusal = (error) => error.message.startsWith("NOPERM");
    const tries = async (list, name) => {
      const key = `${name}:probe-of-rights`;
      await attempt(list, `read ${key}`, () => client.get(key), isRefusal);
      await attempt(list, `write ${key}`, () => client.set(key, "1", { EX: 1 }), isRefusal);
    };
    await tries(result.own, own);
    for (const other of others) await tries(result.others, other);
    const channel = others.find((other) => other !== "auth");
    await attempt(result.others, `publish on ${channel}`, () => client.publish(`${channel}:probe-of-rights`, "1"), isRefusal);
    for (const command of [["FLUSHALL"], ["CONFIG", "GET", "*"], ["ACL", "LIST"], ["KEYS", "*"]]) {
      await attempt(result.others, command.join(" "), () => client.sendCommand(command), isRefusal);
    }
    await client.close();
  },

  async rabbitmq() {
    const connection = await amqp.connect(uri);
    // A refusal closes the channel that it is on, and no other.
    connection.on("error", () => {});
    const on = async (work) => {
      const channel = await connection.createChannel();
      channel.on("error", () => {});
      await work(channel);
      await channel.close();
    };
    const isRefusal = (error) => error.message.includes("ACCESS_REFUSED");
    const publishes = ["auth", "chat"].includes(own);
    const consumes = {
      chat: ["chat.accounts", "user.deleted"],
      media: ["media.accounts", "user.updated"],
      notification: ["notification.events", "message.created"],
    }[own];
    if (consumes) {
      const [queue, kind] = consumes;
      await attempt(result.own, `look at ${queue}`, () => on((c) => c.checkQueue(queue)), isRefusal);
      await attempt(result.own, `hear of ${kind} in ${queue}`, () => on((c) => c.bindQueue(queue, "chat.events", kind)), isRefusal);
      if (own !== "notification") {
        await attempt(result.others, "hear of messages", () => on((c) => c.bindQueue(queue, "chat.events", "message.created")), isRefusal);
      }
    }
    if (publishes) {
      await attempt(result.own, "declare chat.events", () => on((c) => c.assertExchange("chat.events", "topic", { durable: true })), isRefusal);
      await attempt(result.others, "consume notification.events", () => on((c) => c.consume("notification.events", () => {})), isRefusal);
      await attempt(result.others, "delete notification.events", () => on((c) => c.deleteQueue("notification.events")), isRefusal);
    } else {
      await attempt(result.others, "publish on chat.events", () => on(publishOnChatEvents), isRefusal);
      await attempt(result.others, "delete chat.events", () => on((c) => c.deleteExchange("chat.events")), isRefusal);
    }
    const stranger = `${publishes ? "notification" : "chat"}.probe-of-rights`;
    await attempt(result.others, `declare ${stranger}`, () => on((c) => c.assertQueue(stranger, { durable: false, autoDelete: true })), isRefusal);
    const elsewhere = new URL(uri);
    elsewhere.pathname = "/%2F";
    // The client does not pass on the server's words. Until it is let in or not, the server has accepted the password alone.
    const isShutOut = (error) => error.message.includes("Expected ConnectionOpenOk; got <ConnectionClose");
    await attempt(result.others, "enter the virtual host /", async () => (await amqp.connect(elsewhere.href)).close(), isShutOut);
    await connection.close();
  },
};

// A refused publish is told by the channel's end, some time after the call.
function publishOnChatEvents(channel) {
  return new Promise((resolve, reject) => {
    channel.once("error", reject);
    channel.publish("chat.events", "message.created", Buffer.from("{}"));
    // An answer to this comes after the refusal, if there is one.
    channel.checkExchange("chat.events").then(resolve, reject);
  });
}

await servers[server]();
process.stdout.write(JSON.stringify(result));
