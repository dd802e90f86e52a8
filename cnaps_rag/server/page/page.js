/** The page: a request goes out, events come in, and what they tell is written claim by claim. */

import { make, visible, Writing } from "./page_answer.js";
import { lastValue, laidOut } from "./page_proof.js";
import { Sources, sourcesOf } from "./page_sources.js";
import { askFor, Failure, toldFailure } from "./page_stream.js";

const LIMIT_FILE_BYTES = 8_000_000; // a request at the library's limit of 1,000,000 characters is smaller
const PARTS = { input: "Input of", processing: "Processing of", output: "Output of" };
const STATES = {
  not_told: "The supplied sources do not say.",
  none_passed: "No statement passed the checks.",
  ended: "The answer ended before it came to this.",
};
const VERDICTS = { contradicted: "contradicted", misattributed: "of another source", not_found: "not found", unchecked: "could not be checked" };

const SAID_ALREADY = "It passed, and stands elsewhere in the answer already.";
const LLM_NAME = /^[\w./@+:-]{1,80}$/; // a server may call its LLM anything; the answer shows no other either

const at = (id) => document.getElementById(id);
const sources = new Sources(at("sources"), at("evidence"), at("open"));
let asked = null; // what is being answered, or was last

document.documentElement.classList.add("live");

function quoted(text) {
  const said = make("q", "said", visible(text));
  said.dir = "auto";
  return said;
}

// One answer

class Asked {
  constructor(body) {
    this.body = body;
    this.abort = new AbortController();
    this.titles = new Map();
    this.supplied = new Set();
    this.claims = 0;
    this.answer = null;
    this.proof = null;
    this.isRead = false;
    this.writing = new Writing(at("written"), {
      isSupplied: (address) => this.supplied.has(address),
      claimed: (claimed) => this.addClaim(claimed),
    });
  }

  async run(key) {
    for await (const { name, raw } of askFor(this.body, { key, signal: this.abort.signal })) {
      const event = JSON.parse(raw);
      if (name === "error") throw toldFailure(event);
      if (this === asked) this.take(event, raw);
    }
    if (!this.answer) throw new Failure("The connection ended before the answer did.", "Ask again.");
  }

  take(event, raw) {
    this.event = event;
    TOLD[event.event]?.(this, event, raw);
    if (event.markdown) this.writing.write(event.markdown, event.claims ?? (event.claim ? [event.claim] : []));
    if (event.markdown) at("copy").disabled = false;
  }

  /** Shows the request as the server read it: the question, its sources, what it passed over. */
  read(request, warnings = []) {
    if (this.isRead) return;
    this.isRead = true;
    for (const { id, fields } of sourcesOf(request)) {
      this.titles.set(id, visible(fields.name ?? fields.title ?? "the question"));
      for (const address of [fields.paper, fields.github]) if (address) this.supplied.add(address);
    }
    at("question").textContent = visible(request.question);
    sources.fill(request);
    at("warnings").replaceChildren(...warnings.map((words) => make("li", "", visible(words))));
    at("warnings").hidden = !warnings.length;
    document.documentElement.classList.add("answering");
    if (document.activeElement === document.body) at("question").focus({ preventScroll: true }); // the form has closed
  }

  addClaim({ claim, element, numbers, marks }) {
    this.claims += claim.accepted ? 1 : 0;
    element.dir = "auto";
    if (claim.citations.length) sources.tie(element, claim, numbers);
    marks?.setAttribute("aria-hidden", "true"); // the claim is described by its quotes; the numbers are for eyes
    marks?.addEventListener("click", () => element.click());
    if (this.event.event === "claim_repaired") (marks ?? element).after(make("span", "chip", "repaired"));
    element.classList.add("new");
  }

  /** Says under `heading` what became of one claim or slot. */
  note(heading, subject, slot, ...parts) {
    const group = at(heading);
    const title = this.titles.get(subject) ?? subject;
    const where = make("p", "where", slot === "task" ? "Task" : `${PARTS[slot] ?? "What is said of"} `);
    if (slot !== "task") where.append(make("bdi", "", title));
    group.querySelector("ul").append(make("li", "", where, ...parts));
    group.hidden = at("left-out").hidden = false;
  }

  noteEntry(heading, entry, subject, slot) {
    const verdict = make("span", "verdict", `${VERDICTS[entry.verdict] ?? visible(entry.verdict)}:`);
    const why = entry.verdict === "supported" ? [SAID_ALREADY] : [verdict, ` ${visible(entry.reason)}`];
    this.note(heading, subject, slot, make("p", "", quoted(entry.before)), make("p", "why", ...why));
  }

  noteRepair({ before, after }, subject, slot) {
    const now = after ? [make("p", "why", "Now: ", quoted(after))] : [];
    this.note("repaired", subject, slot, make("p", "", quoted(before)), ...now);
  }
}

const TOLD = {
  request: (own, event) => own.read(event.request, event.warnings),
  progress: (own, event) => say(`${visible(event.words).replace(/^./, (one) => one.toUpperCase())}…`),
  claim_dropped: (own, { entry }) => own.noteEntry("dropped", entry, entry.subject, entry.slot),
  claim_marked: (own, { entry, subject, slot }) => own.noteEntry("marked", entry, subject, slot),
  claim_repaired: (own, { entry, subject, slot }) => own.noteRepair(entry, subject, slot),
  slot_open: (own, { subject, slot, state }) => own.note("open-slots", subject, slot, make("p", "why", STATES[state] ?? "")),
  answer_done(own, { answer }) {
    own.answer = answer;
    own.read(answer.request);
    tellCost(answer.usage);
    const [good, bad] = ["Every link and claim is traceable", "Some claims are not traceable: they are marked"];
    at("badges").replaceChildren(
      make("span", answer.report.ok ? "badge good" : "badge bad", answer.report.ok ? good : bad),
      make("span", "badge", answer.drafter === "extractive" ? "No LLM took part" : `Drafted by ${LLM_NAME.test(answer.drafter) ? answer.drafter : "an LLM"}`),
    );
  },
  proof(own, event, raw) {
    own.proof = lastValue(raw, "bundle");
    own.proofName = `proof-${String(event.bundle.sha256).slice(0, 12)}.json`;
    at("save").disabled = false;
  },
};

function tellCost({ calls, prompt_tokens: read, completion_tokens: written, seconds }) {
  const tokens = (read + written).toLocaleString("en");
  at("cost").textContent = `${calls} ${calls === 1 ? "call" : "calls"} to the LLM, ${tokens} tokens, ${seconds.toFixed(1)} s`;
  at("cost").hidden = !calls;
}

// Asking and stopping

async function ask(body) {
  asked?.abort.abort();
  clear();
  const own = (asked = new Asked(body));
  setRunning(true);
  say("Sent.");
  at("composer").open = false;
  at("answer").hidden = false;
  scrollTo({ top: 0, behavior: "instant" });
  const words = await own.run(at("key").value.trim()).then(
    () => ending(own),
    (error) => failing(own, error),
  );
  if (own !== asked) return;
  setRunning(false);
  say(words);
}

function ending({ claims }) {
  const counted = (id, words) => {
    const n = at(id).querySelectorAll("li").length;
    return n ? [`${n} ${words}`] : [];
  };
  const parts = [
    `${claims} ${claims === 1 ? "claim" : "claims"} passed`,
    ...counted("repaired", "repaired"),
    ...counted("dropped", "dropped"),
    ...counted("open-slots", "left open"),
  ];
  return `Done: ${parts.join(", ")}.`;
}

function failing(own, error) {
  const isPart = Boolean(own.writing.markdown);
  const kept = isPart ? " What stands here passed the checks, but the answer is not whole." : "";
  if (own !== asked) return "";
  if (error.name === "AbortError") {
    if (!isPart) reopen(own, "text");
    return `Stopped.${kept}`;
  }
  if (!(error instanceof Failure)) error = new Failure(`This page could not read the stream: ${error.message}`, "Ask again.");
  complain(error);
  if (!isPart) reopen(own, error.status === 401 ? "key" : "text");
  return `Not answered.${kept}`;
}

/** The form again, where nothing has come of the request. */
function reopen(own, focused) {
  at("composer").open = true;
  at("answer").hidden = !own.isRead;
  at(focused).focus();
}

function complain({ message, remedy, status }) {
  if (status === 401) {
    at("key-fold").open = true;
    if (!at("key").value.trim()) message = "This server asks for an API key."; // its own words are for programs
  }
  at("trouble").replaceChildren(make("p", "", visible(message)), make("p", "remedy", visible(remedy)));
  at("trouble").scrollIntoView({ block: "nearest" });
}

function clear() {
  document.documentElement.classList.remove("answering");
  sources.clear();
  for (const id of ["question", "badges", "warnings", "written", "trouble"]) at(id).replaceChildren();
  for (const group of at("left-out").querySelectorAll("div")) {
    group.hidden = true;
    group.querySelector("ul").replaceChildren();
  }
  at("left-out").hidden = at("cost").hidden = at("warnings").hidden = true;
  at("copy").disabled = at("save").disabled = true;
}

const say = (words) => (at("status").textContent = words);

let ticking = 0;

function setRunning(isRunning) {
  const started = performance.now();
  const hadFocus = document.activeElement === at("stop");
  clearInterval(ticking);
  if (isRunning) ticking = setInterval(() => (at("clock").textContent = `${Math.round((performance.now() - started) / 1000)} s`), 1000);
  at("clock").textContent = "";
  at("stop").hidden = !isRunning;
  at("answer").classList.toggle("running", isRunning);
  at("written").setAttribute("aria-busy", String(isRunning));
  if (hadFocus && !isRunning && !at("copy").disabled) at("copy").focus();
}

// The form

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value;
  if (!text.trim()) {
    complain(new Failure("There is no request yet.", "Paste one, drop a file, or fill in the example."));
    at("text").focus();
    return;
  }
  const drafter = new FormData(at("ask")).get("drafter");
  ask({ ...requestIn(text), drafter, stream: true, proof: true });
});

/** JSON as it is; all else, also JSON that cannot be read, goes as text, so that the server says what is wrong. */
function requestIn(text) {
  if (text.trimStart().startsWith("{")) {
    try {
      return { request: JSON.parse(text) };
    } catch {}
  }
  return { text };
}

at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("ask").requestSubmit();
});

function fillIn(text) {
  at("text").value = text;
  at("trouble").replaceChildren();
  at("composer").open = true;
}

async function openFile(file) {
  if (file.size > LIMIT_FILE_BYTES) return complain(new Failure(`${file.name} is too large for a request.`, "Open a text or JSON file."));
  fillIn((await file.text()).replace(/^\ufeff/, ""));
  at("answer-it").focus();
}

at("example").addEventListener("click", () => {
  fillIn(at("example-text").content.textContent);
  at("answer-it").focus();
});
at("pick").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", () => {
  if (at("file").files.length) openFile(at("file").files[0]);
  at("file").value = "";
});

const setDropping = (isDropping) => document.documentElement.classList.toggle("dropping", isDropping);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  setDropping(true);
});
document.addEventListener("dragleave", (event) => event.relatedTarget === null && setDropping(false));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  setDropping(false);
  const { files } = event.dataTransfer;
  const text = event.dataTransfer.getData("text/plain");
  if (files.length) openFile(files[0]);
  else if (text) fillIn(text);
});

// What can be done with an answer

at("stop").addEventListener("click", () => asked?.abort.abort());

at("copy").addEventListener("click", async () => {
  const isCopied = await copied(asked.writing.markdown);
  confirm(at("copy"), isCopied ? "Copied" : "Not copied");
});

async function copied(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const area = document.body.appendChild(make("textarea", "away")); // over plain HTTP there is no clipboard to write to
  area.value = text;
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  at("copy").focus();
  return isCopied;
}

at("save").addEventListener("click", () => {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([laidOut(asked.proof)], { type: "application/json" }));
  link.download = asked.proofName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  confirm(at("save"), "Saved");
});

function confirm(button, words) {
  button.dataset.words ??= button.textContent;
  button.textContent = words;
  at("done").textContent = `${words}.`; // apart from the status, which goes on telling of the answer
  clearTimeout(button.waiting);
  button.waiting = setTimeout(() => {
    button.textContent = button.dataset.words;
    at("done").textContent = "";
  }, 1600);
}
