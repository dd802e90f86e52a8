"use strict";
(() => {
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const details = new Map([...document.querySelectorAll("#details > .case")].map((one) => [one.dataset.row, one]));
  const field = (id) => document.getElementById(`filter-${id}`);
  const [text, tag, metric, below, failed, changed] = ["text", "tag", "metric", "below", "failed", "changed"].map(field);
  const places = new Map(rows.map((row, place) => [row, place]));

  // Unscored cells stand last, whichever way is sorted.
  function compare(column, way) {
    return (a, b) => {
      const [x, y] = [a, b].map((row) => row.cells[column].dataset.value);
      if (x === "" || y === "") return (x === "") - (y === "") || places.get(a) - places.get(b);
      const step = column === 0 ? x.localeCompare(y, undefined, { numeric: true }) : Number(x) - Number(y);
      return way * step || places.get(a) - places.get(b);
    };
  }

  function sort(column) {
    const head = heads[column];
    const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
    body.append(...rows.slice().sort(compare(column, way)));
  }

  function fits(row) {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.every((word) => row.dataset.text.includes(word))) return false;
    if (tag.value && !JSON.parse(row.dataset.tags).includes(tag.value)) return false;
    if (failed.checked && !("failed" in row.dataset)) return false;
    if (changed && changed.checked && !("changed" in row.dataset)) return false;
    if (below.value === "" || !metric.options.length) return true;
    const value = row.cells[Number(metric.value) + 1].dataset.value;
    return value !== "" && Number(value) < Number(below.value);
  }

  function filter() {
    let shown = 0;
    for (const row of rows) {
      const isShown = fits(row);
      row.hidden = !isShown;
      details.get(row.dataset.row).hidden = !isShown;
      shown += isShown;
    }
    const all = `${rows.length} ${rows.length === 1 ? "answer" : "answers"}`;
    document.getElementById("count").textContent = shown === rows.length ? all : `${shown} of ${all}`;
  }

  function reveal() {
    const id = location.hash.slice(1);
    const target = document.getElementById(id) || document.getElementById(decode(id));
    if (!target) return;
    const found = target.closest(".case");
    if (found && found.hidden) {
      document.querySelector(".filters").reset();
      filter();
    }
    for (let at = target.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
    target.scrollIntoView({ block: target.matches("mark, mark *") ? "center" : "start" });
    if (target.matches(".inside")) found.querySelector("summary").focus({ preventScroll: true });
  }

  function decode(id) {
    try {
      return decodeURIComponent(id);
    } catch {
      return id;
    }
  }

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sort(column)));
  const form = document.querySelector(".filters");
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link && link.getAttribute("href") === location.hash) reveal();
  });
  document.documentElement.classList.add("live");
  filter();
  reveal();
})();
