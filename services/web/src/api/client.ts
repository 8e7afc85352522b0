import type {
  Account,
  Conversation,
  Media,
  Message,
  Page,
  Problem,
  SecondStep,
  SecondStepRequired,
  SecondStepSecret,
  Tokens,
  User,
} from "./wire";

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
    return once((key) => send<Tokens>(`${this.base}/api/v1/auth/register`, "POST", { body, key }));
  }

  logIn(login: string, password: string): Promise<Tokens | SecondStepRequired> {
    const name = login.includes("@") ? { email: login } : { username: login };
    return send<Tokens | SecondStepRequired>(`${this.base}/api/v1/auth/login`, "POST", { body: { ...name, password } });
  }

  /** `code` is what the authenticator app shows, or one of the recovery codes. */
  takeSecondStep(challenge: string, code: string): Promise<Tokens> {
    const typed = code.trim();
    const answer = /^\d{3} ?\d{3}$/.test(typed) ? { code: typed.replace(" ", "") } : { recoveryCode: typed };
    return send<Tokens>(`${this.base}/api/v1/auth/mfa/totp/login`, "POST", { body: { challenge, ...answer } });
  }

  verifyEmail(token: string): Promise<void> {
    return send<void>(`${this.base}/api/v1/auth/verify-email`, "POST", { body: { token } });
  }

  forgotPassword(email: string): Promise<void> {
    return send<void>(`${this.base}/api/v1/auth/forgot-password`, "POST", { body: { email } });
  }

  resetPassword(token: string, password: string): Promise<void> {
    return send<void>(`${this.base}/api/v1/auth/reset-password`, "POST", { body: { token, password } });
  }

  refresh(refreshToken: string): Promise<Tokens> {
    return send<Tokens>(`${this.base}/api/v1/auth/refresh`, "POST", { body: { refreshToken } });
  }
}

/** The calls of somebody who is logged in. A token refused as expired is refreshed and the call made once more. */
export class Api {
  constructor(
    private readonly tokens: TokenSource,
    private readonly base = "",
  ) {}

  me = () => this.call<Account>("GET", "/users/me");
  changeMe = (change: { avatarId: string | null }) => this.call<Account>("PATCH", "/users/me", { body: change });
  user = (id: string) => this.call<User>("GET", `/users/${id}`);
  findPeople = (query: string) => this.call<Page<User>>("GET", `/users?query=${encodeURIComponent(query)}&limit=10`);
  logOut = () => this.call<void>("POST", "/auth/logout");

  conversations = (cursor?: string) =>
    this.call<Page<Conversation>>("GET", `/conversations?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
  openDirect = (userId: string) => this.open({ type: "direct", memberIds: [userId] });
  openGroup = (title: string, memberIds: string[]) => this.open({ type: "group", title, memberIds });
  history = (conversationId: string, cursor?: string) =>
    this.call<Page<Message>>(
      "GET",
      `/conversations/${conversationId}/messages?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
    );

  secondStep = () => this.call<SecondStep>("GET", "/auth/mfa/totp");
  beginSecondStep = (password: string) => this.call<SecondStepSecret>("POST", "/auth/mfa/totp", { body: { password } });
  confirmSecondStep = (code: string) => this.call<{ recoveryCodes: string[] }>("POST", "/auth/mfa/totp/confirm", { body: { code } });
  endSecondStep = (password: string) => this.call<void>("POST", "/auth/mfa/totp/disable", { body: { password } });
  newRecoveryCodes = (password: string) =>
    this.call<{ recoveryCodes: string[] }>("POST", "/auth/mfa/totp/recovery-codes", { body: { password } });

  upload = (file: File) => {
    const form = new FormData();
    form.append("file", file);
    return once((key) => this.call<Media>("POST", "/media", { form, key }));
  };
  content = (mediaId: string) => this.authorised((token) => request(`${this.base}/api/v1/media/${mediaId}/content`, "GET", { token })).then((answer) => answer.blob());

  private open(body: unknown): Promise<Conversation> {
    return once((key) => this.call<Conversation>("POST", "/conversations", { body, key }));
  }

  private call<T>(method: string, path: string, sent: Sent = {}): Promise<T> {
    return this.authorised((token) => send<T>(`${this.base}/api/v1${path}`, method, { ...sent, token }));
  }

  private async authorised<T>(work: (token: string | null) => Promise<T>): Promise<T> {
    const token = await this.tokens.accessToken();
    try {
      return await work(token);
    } catch (error) {
      if (token === null || !(error instanceof Refused) || error.problem.status !== 401) throw error;
      this.tokens.reject(token);
      return work(await this.tokens.accessToken());
    }
  }
}

/** What goes along with a request. */
interface Sent {
  /** As JSON. */
  body?: unknown;
  form?: FormData;
  token?: string | null;
  /** The server carries out a request with the same key once, however often it is sent. */
  key?: string;
}

/** Sends what must not be done twice; if the answer is lost on the way, once more under the same key. */
async function once<T>(work: (key: string) => Promise<T>): Promise<T> {
  const key = crypto.randomUUID();
  try {
    return await work(key);
  } catch (error) {
    // Any answer is one; `fetch` throws this where there is none.
    if (!(error instanceof TypeError)) throw error;
    return work(key);
  }
}

async function send<T>(url: string, method: string, sent: Sent): Promise<T> {
  const text = await (await request(url, method, sent)).text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

async function request(url: string, method: string, { body, form, token, key }: Sent): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json, */*" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers["authorization"] = `Bearer ${token}`;
  if (key !== undefined) headers["idempotency-key"] = key;
  const content = form ?? (body === undefined ? undefined : JSON.stringify(body));
  const answer = await fetch(url, { method, headers, ...(content === undefined ? {} : { body: content }) });
  if (!answer.ok) throw new Refused(await problemOf(answer));
  return answer;
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
