#!/usr/bin/env node
// Publishes the events in the file EVENTS, one a line, to EXCHANGE at every POST, and answers how many were confirmed.
// As many await their confirm at a time as of the services' own publisher.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import amqplib from "amqplib";

const IN_FLIGHT = 256;
const [host, port] = process.env.CHATPLATFORM_SERVER__LISTEN.split(":");
const { EVENTS, EXCHANGE, BROKER } = process.env;
const events = readFileSync(EVENTS, "utf8").split("\n").map((line) => Buffer.from(line));

async function publish() {
  // A new one each time: the broker is restarted in between.
  const connection = await amqplib.connect(BROKER);
  const channel = await connection.createConfirmChannel();
  let confirmed = 0;
  for (let from = 0; from < events.length; from += IN_FLIGHT) {
    const batch = events.slice(from, from + IN_FLIGHT).map((event, at) => {
      const id = `event-${from + at}`;
      const properties = {
        contentType: "application/json",
        deliveryMode: 2,
        messageId: id,
        headers: {
          "cloudEvents:id": id,
          "cloudEvents:source": "chat",
          "cloudEvents:type": "message.created",
          "cloudEvents:time": new Date().toISOString(),
          "cloudEvents:specversion": "1.0",
        },
      };
      return new Promise((resolve, reject) => {
        channel.publish(EXCHANGE, "message.created", event, properties, (error) => (error ? reject(error) : resolve()));
      });
    });
    await Promise.all(batch);
    confirmed += batch.length;
  }
  await connection.close();
  return confirmed;
}

createServer(async (_, answer) => {
  try {
    answer.end(String(await publish()));
  } catch (error) {
    answer.statusCode = 500;
    answer.end(String(error));
  }
}).listen(Number(port), host);
