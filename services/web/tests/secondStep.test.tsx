import type { Server } from "node:http";
import { cleanup, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import jsQR from "jsqr";
import type { ReactNode } from "react";
import { Provider } from "react-redux";
import { MemoryRouter } from "react-router";
import { afterEach, describe, expect, it } from "vitest";
import { SecondStep } from "../src/account/SecondStep";
import { LogInPage } from "../src/pages/LogInPage";
import { Platform, PlatformProvider } from "../src/platform";
import { loggedIn } from "../src/session/slice";
import { makeStore } from "../src/store";
import { ada, tokens } from "./account";
import { json, serve } from "./server";

const URI = "otpauth://totp/chat.example:ada?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=chat.example&algorithm=SHA1&digits=6&period=30";
const CODES = Array.from({ length: 10 }, (_, n) => `abcd-efgh-ijkl-mn${n}p`);

const ends: (() => void)[] = [];
afterEach(() => {
  cleanup();
  for (const end of ends.splice(0)) end();
});

/** A platform whose answers are decided here, by method and path; what it was sent is kept. */
async function platform(answers: Record<string, (body: Record<string, string>) => [number, unknown]>) {
  const asked: [string, unknown][] = [];
  const { url, server } = await serve((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const what = `${request.method} ${(request.url ?? "").replace("/api/v1", "")}`;
      const answer = answers[what];
      if (!answer) return json(response, 404, { type: "about:blank", code: "not-found", title: "Not found", status: 404 });
      const body = text === "" ? {} : (JSON.parse(text) as Record<string, string>);
      asked.push([what, body]);
      const [status, content] = answer(body);
      if (status !== 204) return json(response, status, content);
      response.writeHead(204);
      response.end();
    });
  });
  const store = makeStore();
  const made = new Platform(store, url);
  ends.push(() => made.realtime.close(), () => close(server));
  const show = (page: ReactNode) =>
    render(
      <Provider store={store}>
        <PlatformProvider platform={made}>
          <MemoryRouter>{page}</MemoryRouter>
        </PlatformProvider>
      </Provider>,
    );
  return { asked, store, made, show };
}

function close(server: Server) {
  server.closeAllConnections();
  server.close();
}

const refused = (status: number, code: string, title: string): [number, unknown] => [status, { type: "about:blank", status, code, title }];

describe("logging in with a second step", () => {
  const answers = {
    "POST /auth/login": (): [number, unknown] => [202, { challenge: "c-1", expiresIn: 300, methods: ["totp", "recovery-code"] }],
    "POST /auth/mfa/totp/login": ({ code, recoveryCode }: Record<string, string>): [number, unknown] =>
      code === "123456" || recoveryCode === CODES[0] ? [200, tokens()] : refused(403, "invalid-code", "Wrong code"),
  };

  async function toTheSecondStep(user: ReturnType<typeof userEvent.setup>) {
    await user.tab();
    await user.keyboard("ada");
    await user.tab();
    await user.keyboard("a fine password{Enter}");
    return screen.findByLabelText("Code");
  }

  it("goes by the keyboard alone, from the password to the code of the app", async () => {
    const user = userEvent.setup();
    const { asked, store, show } = await platform(answers);
    show(<LogInPage />);
    const code = await toTheSecondStep(user);
    expect(document.activeElement).toBe(code);
    expect(screen.getByRole("heading", { name: "One more step" })).toBeTruthy();
    await user.keyboard("123 456{Enter}");
    await expect.poll(() => store.getState().session.state).toBe("in");
    expect(asked).toEqual([
      ["POST /auth/login", { username: "ada", password: "a fine password" }],
      ["POST /auth/mfa/totp/login", { challenge: "c-1", code: "123456" }],
    ]);
  });

  it("takes a recovery code in the place of the app's, and says when a code is wrong", async () => {
    const user = userEvent.setup();
    const { asked, store, show } = await platform(answers);
    show(<LogInPage />);
    const code = await toTheSecondStep(user);
    await user.keyboard("654321{Enter}");
    expect((await screen.findByRole("alert")).textContent).toBe("Wrong code");
    await user.clear(code);
    await user.type(code, `${CODES[0]}{Enter}`);
    await expect.poll(() => store.getState().session.state).toBe("in");
    expect(asked.at(-1)).toEqual(["POST /auth/mfa/totp/login", { challenge: "c-1", recoveryCode: CODES[0] }]);
  });

  it("can be begun again", async () => {
    const user = userEvent.setup();
    const { show } = await platform(answers);
    show(<LogInPage />);
    await toTheSecondStep(user);
    await user.click(screen.getByRole("button", { name: "Start again" }));
    expect(screen.getByLabelText("Password")).toBeTruthy();
  });
});

describe("the second step of an account", () => {
  /** An account at the auth service: its second step and nothing else. */
  async function account(enabled: boolean) {
    let [on, left] = [enabled, 3];
    const withPassword = (answer: () => [number, unknown]) => (body: Record<string, string>) =>
      body["password"] === "a fine password" ? answer() : refused(403, "wrong-password", "Wrong password");
    const codes = (): [number, unknown] => {
      [on, left] = [true, CODES.length];
      return [200, { recoveryCodes: CODES }];
    };
    const { asked, store, made, show } = await platform({
      "GET /auth/mfa/totp": () => [200, on ? { enabled: true, since: "2026-01-01T00:00:00Z", recoveryCodesLeft: left } : { enabled: false }],
      "POST /auth/mfa/totp": withPassword(() => [201, { secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", uri: URI }]),
      "POST /auth/mfa/totp/confirm": ({ code }) => (code === "123456" ? codes() : refused(403, "invalid-code", "Wrong code")),
      "POST /auth/mfa/totp/recovery-codes": withPassword(codes),
      "POST /auth/mfa/totp/disable": withPassword(() => {
        on = false;
        return [204, null];
      }),
    });
    made.tokens.accept(tokens());
    store.dispatch(loggedIn({ ...ada, secondStep: enabled }));
    show(<SecondStep />);
    const { session } = store.getState();
    return { asked, secondStep: () => (store.getState().session as typeof session & { account: typeof ada }).account.secondStep };
  }

  it("is set up with a code to be scanned, and recovery codes that are shown once", async () => {
    const user = userEvent.setup();
    const { secondStep } = await account(false);
    await user.click(await screen.findByRole("button", { name: "Set up a second step" }));
    expect(document.activeElement).toBe(screen.getByLabelText("Password"));
    await user.keyboard("not it{Enter}");
    expect((await screen.findByRole("alert")).textContent).toBe("Wrong password");
    await user.clear(screen.getByLabelText("Password"));
    await user.type(screen.getByLabelText("Password"), "a fine password{Enter}");

    const heading = await screen.findByRole("heading", { name: "Scan this with your authenticator app" });
    expect(document.activeElement).toBe(heading);
    expect(scanned(screen.getByRole("img", { name: /QR code/ }))).toBe(URI);
    expect(screen.getByText("JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP")).toBeTruthy();
    await user.tab();
    await user.keyboard("000000{Enter}");
    expect((await screen.findByRole("alert")).textContent).toBe("Wrong code");
    expect(secondStep()).toBe(false);
    await user.clear(screen.getByLabelText("Code"));
    await user.type(screen.getByLabelText("Code"), "123 456{Enter}");

    const codes = await screen.findByRole("heading", { name: "Keep your recovery codes" });
    await waitFor(() => expect(document.activeElement).toBe(codes));
    const shown = within(screen.getByRole("list", { name: "Recovery codes" })).getAllByRole("listitem");
    expect(shown.map((item) => item.textContent)).toEqual(CODES);
    const file = screen.getByRole("link", { name: "Save as a file" }).getAttribute("href") ?? "";
    expect(decodeURIComponent(file.split(",")[1] ?? "")).toBe(`${CODES.join("\n")}\n`);
    await user.click(screen.getByRole("button", { name: "Copy" }));
    expect(await navigator.clipboard.readText()).toBe(CODES.join("\n"));

    await user.click(screen.getByRole("button", { name: "I have kept them" }));
    expect((await screen.findByText(/You have 10 recovery codes left/)).getAttribute("role")).toBe("status");
    expect(screen.queryByText(CODES[0] ?? "")).toBeNull();
    expect(secondStep()).toBe(true);
  });

  it("has its recovery codes made anew", async () => {
    const user = userEvent.setup();
    await account(true);
    await screen.findByText(/You have 3 recovery codes left/);
    await user.click(screen.getByRole("button", { name: "New recovery codes" }));
    await user.type(screen.getByLabelText("Password"), "a fine password{Enter}");
    await screen.findByRole("heading", { name: "Keep your recovery codes" });
    await user.click(screen.getByRole("button", { name: "I have kept them" }));
    await screen.findByText(/You have 10 recovery codes left/);
  });

  it("is switched off with the password, and not by a change of mind", async () => {
    const user = userEvent.setup();
    const { asked, secondStep } = await account(true);
    await user.click(await screen.findByRole("button", { name: "Switch off" }));
    await user.click(screen.getByRole("button", { name: "Cancel" }));
    await user.click(await screen.findByRole("button", { name: "Switch off" }));
    await user.type(screen.getByLabelText("Password"), "a fine password{Enter}");
    await screen.findByRole("button", { name: "Set up a second step" });
    expect(secondStep()).toBe(false);
    expect(asked.filter(([what]) => what.startsWith("POST"))).toEqual([["POST /auth/mfa/totp/disable", { password: "a fine password" }]]);
  });
});

/** What an app would read: the picture drawn by its path, each module four pixels wide. */
function scanned(picture: HTMLElement): string | undefined {
  const SCALE = 4;
  const size = Number(picture.getAttribute("viewBox")?.split(" ")[2]);
  const width = size * SCALE;
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255);
  const dark = picture.querySelectorAll("path")[1]?.getAttribute("d") ?? "";
  for (const [, column, row] of dark.matchAll(/M(\d+) (\d+)h1v1h-1z/g)) {
    for (let y = 0; y < SCALE; y += 1) {
      for (let x = 0; x < SCALE; x += 1) {
        const at = ((Number(row) * SCALE + y) * width + Number(column) * SCALE + x) * 4;
        pixels.fill(0, at, at + 3);
      }
    }
  }
  return jsQR(pixels, width, width)?.data;
}
