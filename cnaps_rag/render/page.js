"use strict";
(() => {
  const page = document.documentElement;
  const panel = document.getElementById("sources");
  const texts = panel.querySelector(".texts");
  const opener = document.getElementById("open");
  const claims = [...document.querySelectorAll(".claim[data-spans]")];
  const marks = [...panel.querySelectorAll("mark")];
  const isNarrow = matchMedia("(max-width: 899px)");
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
  let pinned = null;
  let waiting = 0;

  const words = (list) => (list || "").split(" ").filter(Boolean);
  const shares = (some, others) => some.some((id) => others.includes(id));

  function reveal(element, within) {
    if (!element || !within) return;
    const top = element.getBoundingClientRect().top - within.getBoundingClientRect().top + within.scrollTop;
    within.scrollTo({ top: Math.max(0, top - within.clientHeight / 4), behavior: isCalm.matches ? "auto" : "smooth" });
  }

  function light(lit, spans) {
    clearTimeout(waiting);
    for (const claim of claims) claim.classList.toggle("on", lit.includes(claim));
    for (const mark of marks) mark.classList.toggle("lit", shares(words(mark.dataset.ids), spans));
    const first = marks.find((mark) => mark.classList.contains("lit"));
    if (first) waiting = setTimeout(() => reveal(first, texts), 60);
  }

  const show = (claim) => light(claim ? [claim] : [], claim ? words(claim.dataset.spans) : []);

  function setOpen(isOpen) {
    panel.classList.toggle("open", isOpen);
    page.classList.toggle("reading", isOpen);
    opener.setAttribute("aria-expanded", String(isOpen));
  }

  function pin(claim) {
    pinned = claim;
    for (const other of claims) other.setAttribute("aria-pressed", String(other === claim));
    show(claim);
    setOpen(Boolean(claim));
    if (!claim || !isNarrow.matches) return;
    const box = claim.getBoundingClientRect();
    if (box.bottom > innerHeight * 0.4 || box.top < 0) scrollBy({ top: box.top - innerHeight * 0.12, behavior: isCalm.matches ? "auto" : "smooth" });
  }

  for (const claim of claims) {
    claim.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(claim));
    claim.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(pinned));
    claim.addEventListener("focus", () => show(claim));
    claim.addEventListener("blur", () => show(pinned));
    claim.addEventListener("click", () => pin(claim === pinned ? null : claim));
    claim.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pin(claim === pinned ? null : claim);
    });
    const links = claim.nextElementSibling;
    if (!links || !links.classList.contains("marks")) continue;
    links.addEventListener("click", (event) => {
      event.preventDefault();
      pin(claim);
    });
  }

  for (const mark of marks) {
    mark.addEventListener("click", () => {
      const citing = claims.filter((claim) => shares(words(claim.dataset.spans), words(mark.dataset.ids)));
      pinned = null;
      light(citing, words(mark.dataset.ids));
      if (citing[0]) citing[0].scrollIntoView({ block: isNarrow.matches ? "start" : "nearest", behavior: isCalm.matches ? "auto" : "smooth" });
    });
  }

  function leave() {
    const last = pinned;
    pin(null);
    if (last && panel.contains(document.activeElement)) last.focus({ preventScroll: true });
    show(null);
  }

  opener.addEventListener("click", () => setOpen(true));
  document.getElementById("close").addEventListener("click", leave);
  document.addEventListener("keydown", (event) => event.key === "Escape" && leave());
  page.classList.add("live");
})();
