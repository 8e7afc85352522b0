// Two people in two browsers: they register, one finds the other, and they chat live.
//
// Standard input: {"url": "https://...", "chromium": "/usr/bin/chromium", "run": "unique text"}
// Standard output: {"seconds": {"there": 0.1, "back": 0.1}}; a failure is on standard error, with the page's text.

import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";

const { url, chromium: executablePath, run } = JSON.parse(await text(process.stdin));
const LIMIT = 20_000;

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const pages = [];
const complaints = [];
try {
  const ada = await register("Ada", `ada-${run}`);
  const ben = await register("Ben", `ben-${run}`);

  await ada.getByLabel("Find people").fill(`ben-${run}`);
  await ada.getByRole("list", { name: "People found" }).getByRole("button", { name: `@ben-${run}` }).click();
  await ada.getByRole("heading", { name: `Ben ${run}` }).waitFor();

  const there = await say(ada, ben, `Hello Ben, this is ${run}`, async () => {
    // The conversation appears at Ben's without a reload.
    await ben.getByRole("navigation", { name: "Conversations" }).getByRole("link", { name: `Ada ${run}` }).click();
  });
  const back = await say(ben, ada, `Hello Ada, I can read you, ${run}`);

  await ben.reload();
  await shown(ben, `Hello Ben, this is ${run}`).waitFor();
  await shown(ben, `Hello Ada, I can read you, ${run}`).waitFor();
  process.stdout.write(JSON.stringify({ seconds: { there, back } }));
} catch (error) {
  console.error(error.message);
  for (const page of pages) console.error(`--- ${page.url()}\n${await page.locator("body").innerText().catch(() => "")}`);
  console.error(complaints.join("\n"));
  process.exitCode = 1;
} finally {
  await browser.close();
}

async function register(name, username) {
  // The platform's authority is unknown to the browser; that its certificate is right is checked elsewhere.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(LIMIT);
  const page = await context.newPage();
  pages.push(page);
  page.on("pageerror", (error) => complaints.push(`${name}: ${error.stack}`));
  page.on("console", (message) => message.type() === "error" && complaints.push(`${name}: ${message.text()}`));
  await page.goto(url);
  await page.getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("E-mail").fill(`${username}@example.com`);
  await page.getByLabel("Username").fill(username);
  await page.getByLabel("Name shown to others").fill(`${name} ${run}`);
  await page.getByLabel("Password").fill("a long password for a test");
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("status").filter({ hasText: "Connected" }).waitFor();
  return page;
}

async function say(from, to, words, before = async () => {}) {
  await from.getByRole("textbox", { name: "Message" }).fill(words);
  const began = Date.now();
  await from.getByRole("button", { name: "Send" }).click();
  await before();
  await shown(to, words).waitFor();
  return (Date.now() - began) / 1000;
}

function shown(page, words) {
  return page.getByRole("log", { name: "Messages" }).getByText(words);
}
