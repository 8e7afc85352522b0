import { Refused, type Gate, type TokenSource } from "../api/client";
import type { Account, Tokens } from "../api/wire";

const KEY = "chatplatform.refresh-token";
/** An access token is replaced this long before it ends, so that no request meets its last moment. */
const MARGIN_MS = 30_000;

/**
 * Holds the access token in memory and the refresh token in the browser's storage.
 *
 * A refresh token can be used once. Calls of one page share one refresh; the pages of one browser take turns
 * by a lock, and whoever comes second finds the newer token in the storage.
 */
export class SessionTokens implements TokenSource {
  private access: { token: string; until: number } | null = null;
  private refreshing: Promise<Tokens | null> | null = null;

  constructor(
    private readonly gate: Gate,
    private readonly ended: () => void,
    private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> = window.localStorage,
    private readonly now: () => number = Date.now,
  ) {}

  accept(tokens: Tokens): void {
    this.storage.setItem(KEY, tokens.refreshToken);
    this.access = { token: tokens.accessToken, until: this.now() + tokens.expiresIn * 1000 - MARGIN_MS };
  }

  forget(): void {
    this.storage.removeItem(KEY);
    this.access = null;
  }

  /** Who was logged in when this browser was last here; null when nobody was, or no longer is. */
  async restore(): Promise<Account | null> {
    return (await this.refresh())?.user ?? null;
  }

  async accessToken(): Promise<string | null> {
    if (this.access && this.now() < this.access.until) return this.access.token;
    await this.refresh();
    return this.access?.token ?? null;
  }

  reject(accessToken: string): void {
    if (this.access?.token === accessToken) this.access = null;
  }

  private refresh(): Promise<Tokens | null> {
    this.refreshing ??= oneAtATime(() => this.exchange()).finally(() => {
      this.refreshing = null;
    });
    return this.refreshing;
  }

  private async exchange(): Promise<Tokens | null> {
    const refreshToken = this.storage.getItem(KEY);
    if (refreshToken === null) return null;
    try {
      const tokens = await this.gate.refresh(refreshToken);
      this.accept(tokens);
      return tokens;
    } catch (error) {
      // Only the server's own refusal ends a session: a lost connection must not log anybody out.
      if (error instanceof Refused && (error.problem.status === 401 || error.problem.status === 403)) {
        this.forget();
        this.ended();
        return null;
      }
      throw error;
    }
  }
}

function oneAtATime<T>(work: () => Promise<T>): Promise<T> {
  // Web Locks are absent outside secure contexts; then the server's forgiveness of a lost answer has to do.
  const { navigator } = globalThis as { navigator?: Partial<Navigator> };
  return navigator?.locks ? navigator.locks.request(KEY, work) : work();
}
