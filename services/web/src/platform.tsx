import { createContext, useContext, type ReactNode } from "react";
import { Api, Gate } from "./api/client";
import type { Tokens } from "./api/wire";
import { Pictures } from "./people/pictures";
import { Realtime } from "./realtime/realtime";
import { loggedIn, loggedOut } from "./session/slice";
import { SessionTokens } from "./session/tokens";
import type { Store } from "./store";

/** Everything that reaches the platform, made once per page and handed to the components by context. */
export class Platform {
  readonly gate: Gate;
  readonly tokens: SessionTokens;
  readonly api: Api;
  readonly pictures: Pictures;
  readonly realtime: Realtime;

  /** `base` is where the platform is, if that is not where this page comes from. */
  constructor(
    private readonly store: Store,
    base = "",
  ) {
    this.gate = new Gate(base);
    this.tokens = new SessionTokens(this.gate, () => this.leave("Your session has ended. Please log in again."));
    this.api = new Api(this.tokens, base);
    this.pictures = new Pictures((id) => this.api.content(id));
    const url = base === "" ? window.location.origin : base;
    this.realtime = new Realtime(store, this.tokens, () => this.leave("You were logged out from another place."), url);
  }

  async restore(): Promise<void> {
    try {
      const account = await this.tokens.restore();
      if (account) this.welcome(account);
      else this.store.dispatch(loggedOut());
    } catch {
      this.store.dispatch(loggedOut("The platform cannot be reached. Please try again in a moment."));
    }
  }

  enter(tokens: Tokens): void {
    this.tokens.accept(tokens);
    this.welcome(tokens.user);
  }

  async logOut(): Promise<void> {
    // The person wants out of this browser: whether the server hears of it or not, the tokens go.
    await this.api.logOut().catch(() => undefined);
    this.leave();
  }

  private welcome(account: Tokens["user"]): void {
    this.store.dispatch(loggedIn(account));
    this.realtime.open();
  }

  private leave(reason?: string): void {
    this.tokens.forget();
    this.pictures.forget();
    this.realtime.close();
    this.store.dispatch(loggedOut(reason));
  }
}

const Context = createContext<Platform | null>(null);

export function PlatformProvider({ platform, children }: { platform: Platform; children: ReactNode }) {
  return <Context value={platform}>{children}</Context>;
}

export function usePlatform(): Platform {
  const platform = useContext(Context);
  if (!platform) throw new Error("usePlatform is called outside of PlatformProvider");
  return platform;
}
