/** The Markdown of an answer as it arrives → elements and text nodes. It knows the few forms that the server writes. */

// Controls, format characters and fillers show nothing and can turn a line round: no text keeps them.
const INVISIBLE = /[\p{Cc}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]/gu;

/** `text` without characters that nobody sees; line breaks and tabs stay. */
export const visible = (text) => text.replace(INVISIBLE, (one) => (one === "\n" || one === "\t" ? one : ""));

/** An element with a class and children; strings among these become text nodes, so that no text is ever markup. */
export function make(name, className = "", ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** True for an address that a reader can follow as it stands, and that carries no name and no password. */
export function canFollow(address) {
  if (!/^https?:\/\/[^\s<>]+$/i.test(address) || !URL.canParse(address)) return false;
  const { username, password } = new URL(address);
  return !username && !password;
}

/** A supplied address as a link, or as its text alone where it cannot be followed. */
export function makeLink(address) {
  if (!canFollow(address)) return make("span", "link", visible(address));
  const link = make("a", "link", visible(address));
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
  return link;
}

const ESCAPED = /\\([!-/:-@[-`{-~])|<(https?:\/\/[^<>\s]*)>/gi;

/** What a reader of Markdown sees of `text` where nothing but backslashes and angle brackets around links act. */
export const unescaped = (text) => visible(text.replace(ESCAPED, (_, character, link) => character ?? link));

const RUN = /\*\*(?=\S)((?:\\.|[^\\])+?)(?<!\s)\*\*|\[\^(\d+)\]|<(https?:\/\/[^<>\s]*)>|(?:\\.|[^\\*[<]+|.)/gsi;
const LINE = /^(##) |^(###) |^(- )|^( {2}- )|^(---)$|^(\[\^\d+\]: )/;
const KINDS = ["h2", "h3", "item", "below", "rule", "note"];

/** An answer that grows, fragment by fragment, in `place`. */
export class Writing {
  /**
   * @param place the element that is written into.
   * @param isSupplied whether an address is one of the request's own: no other becomes a link.
   * @param claimed called with each claim, its element and the numbers of its footnotes.
   */
  constructor(place, { isSupplied, claimed }) {
    this.markdown = "";
    this.place = place;
    this.isSupplied = isSupplied;
    this.claimed = claimed;
    this.into = place.appendChild(make("div", "lead"));
    this.line = null; // the element that the present line is written into
    this.isNote = false;
    this.last = null; // the last claim, until its footnote marks have come
  }

  /** Adds a fragment; `claims` stand in it, by their UTF-16 offsets in the whole Markdown. */
  write(fragment, claims) {
    const start = this.markdown.length;
    this.markdown += fragment;
    let at = start;
    for (const claim of claims) {
      if (claim.start_utf16 < at || this.markdown.slice(claim.start_utf16, claim.end_utf16) !== claim.text) continue;
      this.addWords(this.markdown.slice(at, claim.start_utf16));
      this.addClaim(claim);
      at = claim.end_utf16;
    }
    this.addWords(this.markdown.slice(at));
    this.finishClaim();
  }

  addWords(text) {
    text.split("\n").forEach((words, place) => {
      if (place > 0) this.endLine();
      if (words) this.addRuns(this.line || this.isNote ? words : this.startLine(words));
    });
  }

  endLine() {
    this.finishClaim();
    this.line = null;
    this.isNote = false;
  }

  /** Begins the element of a new line; returns what of its words is not markup. */
  startLine(words) {
    const found = words.match(LINE);
    const kind = found ? KINDS[found.slice(1).findIndex(Boolean)] : "p";
    const rest = found ? words.slice(found[0].length) : words;
    if (kind === "rule") this.into = this.place.appendChild(make("footer"));
    else if (kind === "note") this.isNote = true; // its quote stands in the sources
    else if (kind === "item" || kind === "below") this.line = this.makeItem(kind === "below");
    else {
      if (kind === "h2") this.into = this.startSection(rest);
      this.line = this.into.appendChild(make(kind));
      if (kind === "h3") this.line.dir = "auto";
    }
    return rest;
  }

  startSection(title) {
    const section = this.place.appendChild(make("section"));
    section.id = `section-${parseInt(title, 10) || this.place.children.length}`;
    return section;
  }

  makeItem(isBelow) {
    const above = isBelow ? this.into.querySelector(":scope > ul:last-child > li:last-child") : null;
    const parent = above ?? this.into;
    const list = parent.lastElementChild?.nodeName === "UL" ? parent.lastElementChild : parent.appendChild(make("ul"));
    return list.appendChild(make("li")).appendChild(make("div"));
  }

  addRuns(words) {
    if (this.isNote || !this.line) return;
    for (const [whole, strong, mark, link] of words.matchAll(RUN)) {
      if (strong !== undefined) this.line.append(this.makeStrong(unescaped(strong)));
      else if (mark !== undefined) this.addMark(Number(mark));
      else if (link !== undefined) this.line.append(this.isSupplied(link) ? makeLink(link) : visible(link));
      else this.addPlain(unescaped(whole));
    }
  }

  addPlain(words) {
    const isAfterTitle = words.startsWith(" · ") && this.line.lastChild?.nodeName === "STRONG";
    if (isAfterTitle) this.line.append(make("span", "separator", " · "));
    this.line.append(isAfterTitle ? words.slice(3) : words);
  }

  makeStrong(words) {
    const strong = make(words === "[not traceable]" ? "span" : "strong", words === "[not traceable]" ? "fault" : "", words);
    strong.dir = "auto";
    return strong;
  }

  addClaim(claim) {
    this.finishClaim();
    if (!this.line) this.startLine("");
    const isPlain = claim.accepted && !claim.citations.length;
    const element = make("span", isPlain ? "absence" : claim.accepted ? "claim" : "claim rejected", unescaped(claim.text));
    this.line.append(element);
    this.last = { claim, element, numbers: [], marks: null };
  }

  addMark(number) {
    if (!this.last) return;
    this.last.marks ??= this.line.appendChild(make("span", "marks"));
    this.last.marks.append(make("span", "", String(number)));
    this.last.numbers.push(number);
  }

  finishClaim() {
    const last = this.last;
    this.last = null;
    if (last) this.claimed(last);
  }
}
