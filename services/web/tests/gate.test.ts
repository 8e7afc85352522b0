import type { IncomingMessage, Server } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { Gate, Refused } from "../src/api/client";
import { json, serve } from "./server";

let running: Server | undefined;
afterEach(() => running?.close());

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}

describe("what is open to who is not logged in", () => {
  it("sends six digits as a code of the app and anything else as a recovery code", async () => {
    const heard: unknown[] = [];
    const { url, server } = await serve((request, response) => {
      void bodyOf(request).then((body) => {
        heard.push(body);
        json(response, 200, {});
      });
    });
    running = server;
    const gate = new Gate(url);
    await gate.takeSecondStep("c", " 123 456 ");
    await gate.takeSecondStep("c", "ABCD-EFGH-IJKL-MNOP");
    expect(heard).toEqual([
      { challenge: "c", code: "123456" },
      { challenge: "c", recoveryCode: "ABCD-EFGH-IJKL-MNOP" },
    ]);
  });

  it("takes an answer without a body for done, and a problem for refused", async () => {
    const { url, server } = await serve((request, response) => {
      if (request.url === "/api/v1/auth/forgot-password") response.writeHead(202).end();
      else json(response, 400, { type: "", title: "The link is not good, or no longer", status: 400, code: "invalid-token" });
    });
    running = server;
    const gate = new Gate(url);
    await expect(gate.forgotPassword("ada@example.org")).resolves.toBeUndefined();
    await expect(gate.verifyEmail("used")).rejects.toBeInstanceOf(Refused);
  });
});
