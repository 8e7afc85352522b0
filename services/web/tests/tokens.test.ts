// @vitest-environment node
import type { Server } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Api, Gate } from "../src/api/client";
import { SessionTokens } from "../src/session/tokens";
import { json, serve } from "./server";

/** A server that knows one live refresh token at a time, as the auth service does, and counts what it is asked. */
class TokenServer {
  refreshes = 0;
  generation = 1;
  accepted = new Set(["access-1"]);
  down = false;

  async start() {
    return serve((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => (text += chunk.toString()));
      request.on("end", () => {
        if (this.down) return void request.socket.destroy();
        if (request.url === "/api/v1/auth/refresh") {
          this.refreshes += 1;
          const offered = (JSON.parse(text) as { refreshToken: string }).refreshToken;
          if (offered !== `refresh-${this.generation}`) return json(response, 401, { code: "refresh-token-reused", title: "Used twice", status: 401 });
          this.generation += 1;
          this.accepted.add(`access-${this.generation}`);
          return json(response, 200, this.tokens());
        }
        const token = request.headers.authorization?.replace("Bearer ", "") ?? "";
        if (!this.accepted.has(token)) return json(response, 401, { code: "token-expired", title: "Expired", status: 401 });
        return json(response, 200, { id: "me" });
      });
    });
  }

  tokens() {
    const user = { id: "me", username: "ada", displayName: "Ada", email: "ada@example.org", emailVerified: true, secondStep: false, roles: ["user"], createdAt: "2026-01-01T00:00:00Z" };
    return { user, accessToken: `access-${this.generation}`, refreshToken: `refresh-${this.generation}`, tokenType: "Bearer" as const, expiresIn: 600 };
  }
}

class Memory {
  private values = new Map<string, string>();
  getItem = (key: string) => this.values.get(key) ?? null;
  setItem = (key: string, value: string) => void this.values.set(key, value);
  removeItem = (key: string) => void this.values.delete(key);
}

describe("the tokens of a session", () => {
  const auth = new TokenServer();
  let server: Server;
  let api: Api;
  let tokens: SessionTokens;
  let storage: Memory;
  let endings: number;
  let now: number;

  beforeEach(async () => {
    Object.assign(auth, new TokenServer());
    const started = await auth.start();
    server = started.server;
    storage = new Memory();
    endings = 0;
    now = Date.parse("2026-01-01T00:00:00Z");
    tokens = new SessionTokens(new Gate(started.url), () => (endings += 1), storage, () => now);
    tokens.accept(auth.tokens());
    api = new Api(tokens, started.url);
  });
  afterEach(() => void server.close());

  it("are refreshed once for many requests that find the access token expired", async () => {
    now += 600_000;
    await Promise.all(Array.from({ length: 8 }, () => api.me()));
    expect(auth.refreshes).toBe(1);
  });

  it("are refreshed when the server refuses an access token that still looked good", async () => {
    auth.accepted.delete("access-1");
    await expect(api.me()).resolves.toEqual({ id: "me" });
    expect(auth.refreshes).toBe(1);
  });

  it("end the session when the refresh token is refused", async () => {
    auth.generation = 7;
    now += 600_000;
    await expect(api.me()).rejects.toThrow("Expired");
    expect(endings).toBe(1);
    await expect(tokens.restore()).resolves.toBeNull();
  });

  it("outlive a server that cannot be reached", async () => {
    auth.down = true;
    now += 600_000;
    await expect(api.me()).rejects.toThrow();
    expect(endings).toBe(0);
    auth.down = false;
    await expect(api.me()).resolves.toEqual({ id: "me" });
  });
});
