// The page that shows the REST interface, in a browser that lets it load nothing from elsewhere.
//
// Standard input: {"url": "https://...", "chromium": "/usr/bin/chromium"}
// Standard output: {"operations": {"auth": 40, "chat": 24, ...}}; a failure is on standard error.

import { text } from "node:stream/consumers";
import { chromium } from "playwright-core";

const { url, chromium: executablePath } = JSON.parse(await text(process.stdin));
const LIMIT = 20_000;

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const complaints = [];
try {
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  page.setDefaultTimeout(LIMIT);
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("request", (request) => request.url().startsWith("data:") || request.url().startsWith(url) || complaints.push(`asks ${request.url()}`));
  await page.goto(`${url}/api/docs`);
  await page.getByText("Log in", { exact: true }).first().waitFor();
  const operations = {};
  for (const section of await page.locator(".opblock-tag-section").all()) {
    const tag = await section.locator(".opblock-tag").getAttribute("data-tag");
    operations[tag] = await section.locator(".opblock").count();
  }
  if (complaints.length > 0) throw new Error("the page complains");
  process.stdout.write(JSON.stringify({ operations }));
} catch (error) {
  console.error(`${error.message}\n${complaints.join("\n")}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
