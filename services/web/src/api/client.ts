import type { Account, Conversation, Message, Page, Problem, SecondStepRequired, Tokens, User } from "./wire";

/** What the platform refused, in its own words. */
export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = "Refused";
  }

  /** What is wrong with one field of a form, if that was the reason. */
  field(name: string): string | undefined {
    return this.problem.errors?.find((error) => error.field === name)?.message;
  }
}

/** Where the tokens of the person at this browser come from and go to. */
export interface TokenSource {
  /** An access token with some life left, refreshed when needed; null for who is not logged in. */
  accessToken(): Promise<string | null>;
  /** The server refused this token: it must not be offered again. */
  reject(accessToken: string): void;
}

export interface Registration {
  email: string;
  username: string;
  password: string;
  displayName?: string;
}

/** The calls that need no token; they are also what tokens are made with. */
export class Gate {
  constructor(private readonly base = "") {}

  register(body: Registration): Promise<Tokens> {
    return send<Tokens>(`${this.base}/api/v1/auth/register`, "POST", body);
  }

  logIn(login: string, password: string): Promise<Tokens | SecondStepRequired> {
    const name = login.includes("@") ? { email: login } : { username: login };
    return send<Tokens | SecondStepRequired>(`${this.base}/api/v1/auth/login`, "POST", { ...name, password });
  }

  /** `code` is what the authenticator app shows, or one of the recovery codes. */
  takeSecondStep(challenge: string, code: string): Promise<Tokens> {
    const typed = code.trim();
    const answer = /^\d{3} ?\d{3}$/.test(typed) ? { code: typed.replace(" ", "") } : { recoveryCode: typed };
    return send<Tokens>(`${this.base}/api/v1/auth/mfa/totp/login`, "POST", { challenge, ...answer });
  }

  verifyEmail(token: string): Promise<void> {
    return send<void>(`${this.base}/api/v1/auth/verify-email`, "POST", { token });
  }

  forgotPassword(email: string): Promise<void> {
    return send<void>(`${this.base}/api/v1/auth/forgot-password`, "POST", { email });
  }

  resetPassword(token: string, password: string): Promise<void> {
    return send<void>(`${this.base}/api/v1/auth/reset-password`, "POST", { token, password });
  }

  refresh(refreshToken: string): Promise<Tokens> {
    return send<Tokens>(`${this.base}/api/v1/auth/refresh`, "POST", { refreshToken });
  }
}

/** The calls of somebody who is logged in. A token refused as expired is refreshed and the call made once more. */
export class Api {
  constructor(
    private readonly tokens: TokenSource,
    private readonly base = "",
  ) {}

  me = () => this.call<Account>("GET", "/users/me");
  user = (id: string) => this.call<User>("GET", `/users/${id}`);
  findPeople = (query: string) => this.call<Page<User>>("GET", `/users?query=${encodeURIComponent(query)}&limit=10`);
  logOut = () => this.call<void>("POST", "/auth/logout");

  conversations = (cursor?: string) =>
    this.call<Page<Conversation>>("GET", `/conversations?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
  openDirect = (userId: string) => this.call<Conversation>("POST", "/conversations", { type: "direct", memberIds: [userId] });
  openGroup = (title: string, memberIds: string[]) =>
    this.call<Conversation>("POST", "/conversations", { type: "group", title, memberIds });
  history = (conversationId: string, cursor?: string) =>
    this.call<Page<Message>>(
      "GET",
      `/conversations/${conversationId}/messages?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
    );

  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const url = `${this.base}/api/v1${path}`;
    const token = await this.tokens.accessToken();
    try {
      return await send<T>(url, method, body, token);
    } catch (error) {
      if (token === null || !(error instanceof Refused) || error.problem.status !== 401) throw error;
      this.tokens.reject(token);
      return send<T>(url, method, body, await this.tokens.accessToken());
    }
  }
}

async function send<T>(url: string, method: string, body?: unknown, token?: string | null): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers["authorization"] = `Bearer ${token}`;
  const answer = await fetch(url, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (answer.ok) {
    const text = await answer.text();
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }
  throw new Refused(await problemOf(answer));
}

/** A proxy on the way may answer with something else than a problem. */
async function problemOf(answer: Response): Promise<Problem> {
  const body: unknown = await answer.json().catch(() => null);
  if (typeof body === "object" && body !== null && "code" in body) return body as Problem;
  return {
    type: "about:blank",
    title: `The server answered ${answer.status}. Please try again.`,
    status: answer.status,
    code: "unexpected-answer",
  };
}
