// A program that is told what to do by JSON lines on standard input, and answers each with one JSON line on standard output. What an action
// answers is laid beside the order's `id`; what goes wrong is answered as {"id": ..., "error": "...", "refusal": ...}, where the latter is
// what a server said of it, if one did. The program ends with its input.

import { createInterface } from "node:readline";

export function obey(actions) {
  const orders = createInterface({ input: process.stdin });
  orders.on("line", async (line) => {
    const order = JSON.parse(line);
    try {
      say({ id: order.id, ...(await actions[order.do](order)) });
    } catch (error) {
      say({ id: order.id, error: error.message, refusal: error.data });
    }
  });
  orders.on("close", () => process.exit(0));
}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
