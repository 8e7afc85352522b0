// @vitest-environment node
import type { IncomingMessage, Server } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Api, Gate } from "../src/api/client";
import { Pictures } from "../src/people/pictures";
import { ada, tokens } from "./account";
import { json, serve } from "./server";

/** Takes requests and, at first, hangs up in the place of an answer. */
describe("what must not be done twice", () => {
  let server: Server;
  let url: string;
  let losses: number;
  let asked: { path: string | undefined; key: string | undefined; type: string | undefined; body: string }[];

  beforeEach(async () => {
    [losses, asked] = [1, []];
    const started = await serve((request: IncomingMessage, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
      request.on("end", () => {
        const key = request.headers["idempotency-key"];
        asked.push({ path: request.url, key: String(key), type: request.headers["content-type"], body });
        if (losses > 0) {
          losses -= 1;
          return void request.socket.destroy();
        }
        if (request.url?.endsWith("/content")) {
          response.writeHead(200, { "content-type": "image/png" });
          return void response.end("png");
        }
        json(response, 201, request.url?.endsWith("/register") ? tokens() : { id: "new" });
      });
    });
    ({ server, url } = started);
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const api = () => new Api({ accessToken: () => Promise.resolve("access"), reject: () => undefined }, url);

  it("is sent once more under the same key when its answer is lost, and under another the next time", async () => {
    await api().openGroup("Friends", ["bob"]);
    await api().openGroup("Friends", ["bob"]);
    const keys = asked.map((request) => request.key);
    expect(keys).toHaveLength(3);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
    expect(asked[1]?.body).toBe(asked[0]?.body);
  });

  it("is given up when there is no answer the second time either", async () => {
    losses = 2;
    await expect(api().openDirect("bob")).rejects.toThrow(TypeError);
    expect(asked).toHaveLength(2);
  });

  it("is a registration too", async () => {
    const answer = await new Gate(url).register({ email: "ada@example.org", username: "ada", password: "a fine password" });
    expect(answer.user).toEqual(ada);
    expect(new Set(asked.map((request) => request.key)).size).toBe(1);
  });

  it("is an upload too, whose file goes along as a form", async () => {
    const file = new File(["pixels"], "me.png", { type: "image/png" });
    expect(await api().upload(file)).toEqual({ id: "new" });
    expect(asked).toHaveLength(2);
    expect(asked[1]?.key).toBe(asked[0]?.key);
    expect(asked[1]?.type).toMatch(/^multipart\/form-data; boundary=/);
    expect(asked[1]?.body).toContain('name="file"; filename="me.png"');
  });

  it("is not a picture, which is fetched once and asked for again if that failed", async () => {
    const pictures = new Pictures((id) => api().content(id));
    expect(await pictures.of("p")).toBeNull();
    const [first, second] = await Promise.all([pictures.of("p"), pictures.of("p")]);
    expect(first).toMatch(/^blob:/);
    expect(second).toBe(first);
    expect(asked.map((request) => request.path)).toEqual(["/api/v1/media/p/content", "/api/v1/media/p/content"]);
    pictures.forget();
  });
});
