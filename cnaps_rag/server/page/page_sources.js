/** The panel of sources, and how a claim and the words it rests on light each other. */

import { canFollow, make, makeLink, visible } from "./page_answer.js";

const CANNOT_BE_SHOWN = "a link was supplied that cannot be shown";
const HAS_SCHEME = /^[a-z][a-z0-9+.-]*:|@/i;

/** A source's link; one that names another scheme or an account is not shown, as the answer shows none. */
const linkOf = (address) => (canFollow(address) || !HAS_SCHEME.test(address) ? makeLink(address) : CANNOT_BE_SHOWN);

/** Sources of a request in its order, each with the fields that evidence may point into. */
export function sourcesOf(request) {
  const links = ({ paper, github }) => ({ paper, github });
  return [
    { id: "Q", kind: "Question", title: null, text: "question", fields: { question: request.question } },
    ...request.models.map((model, place) => ({
      id: `M${place + 1}`,
      kind: "Recommended model",
      title: "name",
      text: "description",
      fields: { name: model.name, description: model.description, ...links(model) },
    })),
    ...request.papers.map((paper, place) => ({
      id: `P${place + 1}`,
      kind: "Related paper",
      title: "title",
      text: "summary",
      fields: { title: paper.title, summary: paper.summary, ...links(paper) },
    })),
  ];
}

const place = (citation) => `${citation.source_id} ${citation.field}`;
const key = (citation) => `${place(citation)} ${citation.start_utf16} ${citation.end_utf16}`;
const isNarrow = matchMedia("(max-width: 899px)");
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
const behavior = () => (isCalm.matches ? "auto" : "smooth");

export class Sources {
  /**
   * @param panel the panel, with its region `.texts`.
   * @param evidence a hidden list that holds each quote once, to describe claims with.
   * @param opener the button that raises the panel on a phone.
   */
  constructor(panel, evidence, opener) {
    Object.assign(this, { panel, evidence, opener, texts: panel.querySelector(".texts") });
    panel.querySelector("#close").addEventListener("click", () => this.leave());
    opener.addEventListener("click", () => this.setOpen(true));
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.leave());
    this.clear();
  }

  clear() {
    clearTimeout(this.waiting);
    this.fields = new Map(); // place of a field → { element, text }
    this.cited = new Map(); // place of a field → key → citation; may be there before the field is
    this.claims = new Map(); // element of a claim → keys of its citations
    this.items = new Map(); // key of a citation → its item in the list of evidence
    this.pinned = null;
    this.texts.replaceChildren();
    this.evidence.replaceChildren();
    this.setOpen(false);
  }

  /** Shows every source of `request` with its whole text. */
  fill(request) {
    this.texts.replaceChildren(...sourcesOf(request).map((source) => this.makeSource(source)));
  }

  makeSource(source) {
    const article = make("article", "", make("p", "kind", make("span", "tag", source.id), ` ${source.kind}`));
    if (source.title) article.append(this.makeField("h3", "", source, source.title));
    const links = make("p", "links");
    for (const [label, field] of [["Paper: ", "paper"], ["Code: ", "github"]]) {
      const address = source.fields[field];
      if (!address) continue;
      links.append(links.childNodes.length ? " · " : "", label, linkOf(address));
    }
    if (links.childNodes.length) article.append(links);
    const hasText = Boolean(source.fields[source.text]);
    article.append(hasText ? this.makeField("p", "text", source, source.text) : make("p", "none", "No text was supplied."));
    return article;
  }

  makeField(name, className, source, field) {
    const element = make(name, className);
    element.dir = "auto";
    this.fields.set(`${source.id} ${field}`, { element, text: source.fields[field] });
    this.cut(`${source.id} ${field}`);
    return element;
  }

  /** The field's text in parts: plain, or marked with the keys of the citations that cover it. */
  cut(where) {
    const { element, text } = this.fields.get(where);
    const cited = [...(this.cited.get(where)?.values() ?? [])];
    const edges = [0, text.length, ...cited.flatMap((one) => [one.start_utf16, one.end_utf16])];
    const cuts = [...new Set(edges)].sort((a, b) => a - b);
    const parts = cuts.slice(1).map((end, before) => {
      const start = cuts[before];
      const covering = cited.filter((one) => one.start_utf16 <= start && end <= one.end_utf16);
      const words = visible(text.slice(start, end));
      return covering.length ? this.makeMark(words, covering, start) : words;
    });
    element.replaceChildren(...parts);
  }

  makeMark(words, covering, start) {
    const mark = make("mark");
    mark.dataset.keys = JSON.stringify(covering.map(key));
    const numbers = covering.filter((one) => one.start_utf16 === start && one.number).map((one) => one.number);
    if (numbers.length) mark.append(make("sup", "", numbers.join(", ")));
    mark.append(words);
    mark.addEventListener("click", () => this.showClaimsOf(JSON.parse(mark.dataset.keys)));
    return mark;
  }

  /** Ties a claim's element to the words it rests on; `numbers` are its footnotes, one a distinct citation. */
  tie(element, claim, numbers) {
    const distinct = [...new Map(claim.citations.map((one) => [key(one), one])).values()];
    distinct.forEach((citation, at) => this.cite(citation, numbers[at]));
    this.claims.set(element, distinct.map(key));
    element.tabIndex = 0;
    element.setAttribute("role", "button");
    element.setAttribute("aria-pressed", "false");
    element.setAttribute("aria-describedby", distinct.map((one) => this.items.get(key(one)).id).join(" "));
    element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.show(element));
    element.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.show(this.pinned));
    element.addEventListener("focus", () => this.show(element));
    element.addEventListener("blur", () => this.show(this.pinned));
    element.addEventListener("click", () => this.turn(element));
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.turn(element);
    });
  }

  cite(citation, number) {
    const [id, where] = [key(citation), place(citation)];
    if (!this.items.has(id)) {
      const label = citation.source_id === "Q" ? "Question" : `${citation.source_id}, ${citation.field}`;
      const item = this.evidence.appendChild(make("li", "", `${label}: ${visible(citation.quote)}`));
      item.id = `evidence-${this.evidence.children.length}`;
      this.items.set(id, item);
    }
    if (!this.cited.has(where)) this.cited.set(where, new Map());
    const cited = this.cited.get(where);
    if (cited.has(id) && (cited.get(id).number || !number)) return;
    cited.set(id, { ...citation, number });
    if (!this.fields.has(where)) return;
    this.cut(where);
    this.relight();
  }

  show(element) {
    this.light(element ? [element] : [], element ? this.claims.get(element) : []);
  }

  showClaimsOf(keys) {
    const citing = [...this.claims].filter(([, own]) => own.some((one) => keys.includes(one))).map(([element]) => element);
    this.pin(null);
    this.light(citing, keys);
    if (isNarrow.matches) this.setOpen(false);
    citing[0]?.scrollIntoView({ block: isNarrow.matches ? "center" : "nearest", behavior: behavior() });
  }

  light(claims, keys) {
    clearTimeout(this.waiting);
    for (const element of this.claims.keys()) element.classList.toggle("on", claims.includes(element));
    this.lit = keys;
    this.relight();
    const first = this.texts.querySelector("mark.lit");
    if (first) this.waiting = setTimeout(() => this.reveal(first), 60);
  }

  relight() {
    for (const mark of this.texts.querySelectorAll("mark")) {
      mark.classList.toggle("lit", JSON.parse(mark.dataset.keys).some((one) => this.lit?.includes(one)));
    }
  }

  reveal(mark) {
    const top = mark.getBoundingClientRect().top - this.texts.getBoundingClientRect().top + this.texts.scrollTop;
    this.texts.scrollTo({ top: Math.max(0, top - this.texts.clientHeight / 4), behavior: behavior() });
  }

  turn(element) {
    this.pin(element === this.pinned ? null : element);
    this.show(this.pinned);
  }

  pin(element) {
    this.pinned = element;
    for (const other of this.claims.keys()) other.setAttribute("aria-pressed", String(other === element));
    this.setOpen(Boolean(element));
    if (!element || !isNarrow.matches) return;
    const box = element.getBoundingClientRect();
    if (box.bottom > innerHeight * 0.4 || box.top < innerHeight * 0.12) scrollBy({ top: box.top - innerHeight * 0.16, behavior: behavior() });
  }

  leave() {
    const last = this.pinned ?? this.opener;
    const isInside = this.panel.contains(document.activeElement);
    this.pin(null);
    if (isInside) last.focus({ preventScroll: true });
    this.show(null);
  }

  setOpen(isOpen) {
    this.panel.classList.toggle("open", isOpen);
    document.documentElement.classList.toggle("reading", isOpen);
    this.opener.setAttribute("aria-expanded", String(isOpen));
    if (isOpen && document.activeElement === this.opener) this.texts.focus({ preventScroll: true });
  }
}
