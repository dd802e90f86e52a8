/** From one request to the events of its answer, as the server's stream tells them. */

/** What went wrong, in words, and what to do about it. */
export class Failure extends Error {
  constructor(message, remedy = "", status = 0) {
    super(message);
    this.remedy = remedy;
    this.status = status;
  }
}

const ASK_AGAIN = "Ask again in a while, or choose the sources’ own sentences.";
const REMEDIES = {
  401: "Type a key of this server under “API key”, and ask again.",
  403: "Type another key of this server under “API key”, and ask again.",
  413: "Shorten the request.",
  429: "Wait a little, and ask again.",
  502: ASK_AGAIN,
  503: ASK_AGAIN,
  504: ASK_AGAIN,
};

/** Events of one answer, each `{ name, raw }` with `raw` its JSON as sent. Throws `Failure`, or AbortError when stopped. */
export async function* askFor(body, { key, signal }) {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch("v1/answers", { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    throw error.name === "TypeError" ? unreachable("This server cannot be reached.") : error;
  }
  if (!response.ok) throw await failureOf(response);
  try {
    yield* readEvents(response.body);
  } catch (error) {
    throw error.name === "TypeError" ? unreachable("The connection broke off.") : error;
  }
}

/** Events of a stream of bytes, by the rules of the HTML standard, section 9.2.6; ids and comments are passed over. */
export async function* readEvents(bytes) {
  const reader = bytes.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let name = "message";
  let lines = [];
  try {
    for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) {
      const whole = (rest + value).split(/\r\n|\n|\r(?=.)/s); // a carriage return at the end may be half of a pair
      rest = whole.pop();
      for (const line of whole) {
        const [, field, text] = line.match(/^([^:]*):? ?(.*)$/s);
        if (field === "event") name = text;
        if (field === "data") lines.push(text);
        if (line !== "") continue;
        if (lines.length) yield { name, raw: lines.join("\n") };
        [name, lines] = ["message", []];
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The failure that an error's body tells, in the words of the server where it has some. */
export function toldFailure(body, status = 0) {
  const error = body?.error ?? body ?? {};
  const told = typeof error === "string" ? error : error.message ?? error.finding ?? plain(error.detail);
  return new Failure(told || `The server answered with status ${status}.`, error.remedy ?? REMEDIES[status] ?? "", status);
}

const plain = (detail) => (Array.isArray(detail) ? detail.map((one) => one.msg).join("; ") : detail);

const unreachable = (words) => new Failure(words, "See that it is running and that you are connected, and ask again.");

async function failureOf(response) {
  const failure = toldFailure(await response.json().catch(() => null), response.status);
  const seconds = response.headers.get("Retry-After");
  if (/^\d+$/.test(seconds ?? "")) failure.remedy = `Ask again in ${seconds === "1" ? "a second" : `${seconds} seconds`}.`;
  return failure;
}
