/** A proof bundle as it came in the stream → the one form in which `cnaps-rag verify` takes it. */

const TOKEN = /"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Raw JSON of the value of `key`, which is the last of the object `raw`. */
export const lastValue = (raw, key) => raw.slice(raw.indexOf(`"${key}":`) + key.length + 3, raw.lastIndexOf("}"));

/**
 * `raw` with two blanks a level and nothing escaped that need not be, as Python's ``json.dumps`` writes it. Numbers stay
 * as they are written: read and written again by JavaScript, 1.0 would be 1, and the hash would not hold.
 */
export function laidOut(raw) {
  const tokens = raw.match(TOKEN);
  let level = 0;
  const line = () => `\n${"  ".repeat(level)}`;
  const isEmpty = (at) => "{[".includes(tokens[at - 1]) && "}]".includes(tokens[at]);
  const written = tokens.map((token, at) => {
    if (token[0] === '"') return JSON.stringify(JSON.parse(token));
    if (token === ",") return `,${line()}`;
    if (token === ":") return ": ";
    if ("{[".includes(token)) return (level += 1) && isEmpty(at + 1) ? token : token + line();
    if (!"}]".includes(token)) return token;
    level -= 1;
    return isEmpty(at) ? token : line() + token;
  });
  return `${written.join("")}\n`;
}
