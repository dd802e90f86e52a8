// Drives the server's page in Chromium. A job comes as JSON on standard input, what was seen goes as JSON to standard
// output: { way, url, chromium, ... }, where `way` names one of the functions at the end. pytest decides what is right.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SETTLE_MS = 350; // past the transitions of the style sheet and the wait before a quote is brought into sight
const ANSWER_LIMIT_MS = 60_000;

async function open(browser, job) {
  const isPhone = job.width < 900;
  const context = await browser.newContext({
    viewport: { width: job.width ?? 1280, height: job.height ?? 900 },
    colorScheme: job.scheme ?? "light",
    reducedMotion: "reduce",
    isMobile: isPhone,
    hasTouch: isPhone,
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const seen = { requests: [], problems: [], dialogs: [] };
  context.on("request", (request) => seen.requests.push(request.url()));
  const page = await context.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && seen.problems.push(message.text()));
  page.on("pageerror", (error) => seen.problems.push(String(error)));
  page.on("dialog", (dialog) => (seen.dialogs.push(dialog.message()), dialog.dismiss()));
  context.on("page", (other) => other !== page && seen.problems.push(`opened ${other.url()}`));
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
    window.counts = [0]; // how many claims stood there whenever that changed
    document.addEventListener("DOMContentLoaded", () => {
      const count = () => {
        const claims = document.querySelectorAll("#written .claim, #written .absence").length;
        if (claims !== window.counts.at(-1)) window.counts.push(claims);
      };
      new MutationObserver(count).observe(document.getElementById("written"), { childList: true, subtree: true });
    });
  });
  await page.goto(job.url);
  return { page, context, seen };
}

async function paste(page, words) {
  await page.evaluate((copied) => navigator.clipboard.writeText(copied), words);
  await page.locator("#text").focus();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.press("ControlOrMeta+V");
}

async function ask(page, job) {
  await paste(page, job.request);
  if (job.key) await page.fill("#key", job.key);
  if (job.drafter) await page.check(`input[value="${job.drafter}"]`);
  await page.keyboard.press("Tab"); // from wherever the focus is, a reader can go on
  await page.locator("#text").press("ControlOrMeta+Enter");
}

const ended = (page) =>
  page.waitForFunction(() => /^(Done|Stopped|Not answered)/.test(document.getElementById("status").textContent), null, {
    timeout: ANSWER_LIMIT_MS,
  });

const shot = (page, job, name, fullPage = false) =>
  job.shots ? page.screenshot({ path: `${job.shots}/${job.name}-${name}.png`, fullPage }) : null;

/** Words that are lit in the sources, without the numbers before them. */
const lit = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("#sources mark.lit")]
      .map((mark) => [...mark.childNodes].filter((node) => node.nodeName !== "SUP").map((node) => node.textContent).join(""))
      .join(" "),
  );

/** True where the middle of the first lit quote is what a reader sees there. */
const isSeen = (page) =>
  page.evaluate(() => {
    const box = document.querySelector("mark.lit")?.getClientRects()[0];
    const there = box && document.elementFromPoint(box.left + Math.min(box.width / 2, 20), box.top + box.height / 2);
    return Boolean(there?.closest("mark.lit"));
  });

const texts = (page, selector) => page.locator(selector).allTextContents();

async function state(page) {
  return page.evaluate(() => ({
    status: document.getElementById("status").textContent,
    trouble: [...document.querySelectorAll("#trouble p")].map((line) => line.textContent),
    question: document.getElementById("question").textContent,
    written: document.getElementById("written").innerText,
    isFormOpen: document.getElementById("composer").open,
    focused: document.activeElement.id,
    overflow: document.documentElement.scrollWidth - innerWidth,
    background: getComputedStyle(document.body).backgroundColor,
    links: [...document.querySelectorAll("main a, aside a")].map((link) => [link.getAttribute("href"), link.rel]),
    enabled: [...document.querySelectorAll(".acts button:enabled")].filter((one) => !one.hidden).map((one) => one.id),
    violations: window.violations,
    pwned: window.pwned ?? null,
    counts: window.counts,
  }));
}

/** Faults of some weight that axe-core finds: WCAG 2.2 A and AA, contrast included. */
async function faults(page) {
  if (!(await page.evaluate(() => Boolean(window.axe)))) await page.evaluate(AXE);
  return page.evaluate(async () => {
    const found = await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return found.violations.map((fault) => `${fault.impact} ${fault.id}: ${fault.nodes.map((node) => node.target).join(" | ")}`);
  });
}

async function evidenceOf(page, claim) {
  const words = await claim.textContent();
  const described = await claim.evaluate((element) =>
    element.getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id).textContent),
  );
  await claim.hover();
  await page.waitForTimeout(SETTLE_MS);
  const hovered = await lit(page);
  const isHoveredSeen = await isSeen(page);
  await page.mouse.move(0, 0);
  const afterwards = await lit(page);
  await claim.focus();
  await page.waitForTimeout(SETTLE_MS);
  const focused = await lit(page);
  await page.keyboard.press("Enter");
  await claim.blur();
  const pinned = await lit(page);
  const isPressed = await claim.getAttribute("aria-pressed");
  await page.keyboard.press("Escape");
  return { words, described, hovered, isHoveredSeen, afterwards, focused, pinned, isPressed, escaped: await lit(page) };
}

/** Claims that the tab key comes to, from the answer's heading on. */
async function tabbed(page) {
  await page.locator("#question").focus();
  const words = [];
  for (let step = 0; step < 80; step += 1) {
    await page.keyboard.press("Tab");
    const [isClaim, isEnd, said] = await page.evaluate(() => {
      const at = document.activeElement;
      return [at.classList.contains("claim"), Boolean(at.closest("aside")) || at === document.body, at.textContent];
    });
    if (isEnd) break;
    if (isClaim) words.push(said);
  }
  return words;
}

async function saved(page, path) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
  await download.saveAs(path);
  return download.suggestedFilename();
}

const WAYS = {
  /** The whole way: paste, stream, evidence, what was dropped, copy, save. */
  async whole(page, job) {
    await shot(page, job, "form");
    await ask(page, job);
    await page.waitForFunction(() => window.counts.at(-1) > 0, null, { timeout: ANSWER_LIMIT_MS });
    await shot(page, job, "stream");
    await ended(page);
    await shot(page, job, "answer");
    const told = await state(page);
    const claims = [];
    for (const claim of await page.locator("#written .claim").all()) claims.push(await evidenceOf(page, claim));
    const inOrder = await tabbed(page);
    await page.locator("#written .claim").nth(job.nth ?? 1).click();
    await page.waitForTimeout(SETTLE_MS);
    await shot(page, job, "evidence");
    const pinned = await faults(page);
    await page.keyboard.press("Escape");
    await page.click("#copy");
    await page.waitForFunction(() => document.getElementById("copy").textContent === "Copied");
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const file = await saved(page, job.proof);
    await page.evaluate(() => document.getElementById("left-out").scrollIntoView());
    await shot(page, job, "end");
    const lists = {};
    for (const list of ["dropped", "repaired", "open-slots"]) lists[list] = await texts(page, `#${list} li`);
    return { ...told, claims, inOrder, copied, file, ...lists, faults: pinned, chips: await texts(page, ".chip") };
  },

  /** Every claim tapped or clicked, everything looked at: what a hostile request could make of it. */
  async touch(page, job) {
    await page.exposeFunction("pwn", () => job.called.push("pwn"));
    await ask(page, job);
    await ended(page);
    await shot(page, job, "answer");
    for (const claim of await page.locator("#written .claim").all()) {
      await claim.hover();
      await (job.width < 900 ? claim.tap() : claim.click());
    }
    await page.waitForTimeout(SETTLE_MS);
    await shot(page, job, "evidence");
    await page.keyboard.press("Escape");
    const markup = await page.evaluate(
      () => document.querySelectorAll("main :is(script, img, iframe, style, b, i, object, embed, svg), aside :is(script, img, iframe, style, b, i)").length,
    );
    const shown = await page.evaluate(() => document.body.innerText);
    return { ...(await state(page)), markup, shown, faults: await faults(page), called: job.called };
  },

  /** On a phone: no state of the page is wider than it, and a tap raises the sources. */
  async phone(page, job) {
    const overflow = [(await state(page)).overflow];
    const formFaults = await faults(page);
    await shot(page, job, "form");
    await ask(page, job);
    await ended(page);
    overflow.push((await state(page)).overflow);
    await shot(page, job, "answer");
    const isRaised = () => page.evaluate(() => getComputedStyle(document.getElementById("sources")).visibility === "visible");
    const before = await isRaised();
    const claim = page.locator("#written .claim").nth(1);
    await claim.tap();
    await page.waitForTimeout(SETTLE_MS);
    await shot(page, job, "evidence");
    const raised = { isRaised: await isRaised(), lit: await lit(page), isSeen: await isSeen(page), words: await claim.textContent() };
    overflow.push((await state(page)).overflow);
    const found = await faults(page);
    await page.tap("#close");
    await page.waitForTimeout(SETTLE_MS);
    return { ...(await state(page)), overflow, before, raised, after: await isRaised(), faults: [...formFaults, ...found] };
  },

  /** Stopped as soon as the first claim stands, or at once. */
  async stop(page, job) {
    await ask(page, job);
    if (!job.early) await page.waitForFunction(() => window.counts.at(-1) > 0, null, { timeout: ANSWER_LIMIT_MS });
    await shot(page, job, "stream");
    await page.locator("#stop").focus();
    await page.keyboard.press("Enter");
    await ended(page);
    const stopped = await state(page);
    await page.waitForTimeout(job.wait);
    await shot(page, job, "stopped");
    return { ...stopped, later: (await state(page)).counts };
  },

  /** Asked, and answered with a failure. */
  async fail(page, job) {
    await ask(page, job);
    await ended(page);
    await shot(page, job, "failed");
    return { ...(await state(page)), faults: await faults(page) };
  },

  /** The ways by which a request comes into the form. */
  async fill(page, job) {
    const value = () => page.inputValue("#text");
    await page.click("#answer-it");
    const empty = await state(page);
    await page.click("#example");
    const example = await value();
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.click("#pick")]);
    await chooser.setFiles(job.file);
    await page.waitForFunction((before) => document.getElementById("text").value !== before, example);
    const picked = await value();
    const drop = (name, content) =>
      page.evaluate(
        ([name, content]) => {
          const carried = new DataTransfer();
          if (name) carried.items.add(new File([content], name));
          else carried.setData("text/plain", content);
          for (const kind of ["dragover", "drop"]) {
            document.getElementById("text").dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: carried }));
          }
        },
        [name, content],
      );
    await drop("request.txt", "\ufeffdropped file");
    await page.waitForFunction(() => document.getElementById("text").value === "dropped file");
    await drop("", "dropped words");
    return { ...empty, example, picked, dropped: await value(), disabled: await page.locator("input[value=llm]").isDisabled() };
  },
};

const job = { called: [], ...JSON.parse(await text(process.stdin)) };
const browser = await chromium.launch({ executablePath: job.chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
try {
  const { page, context, seen } = await open(browser, job);
  const told = await WAYS[job.way](page, job);
  await context.close();
  process.stdout.write(JSON.stringify({ ...told, ...seen }));
} finally {
  await browser.close();
}
