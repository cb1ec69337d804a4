"use strict";
// Sorts and filters the tables of this page. Without it they stand in their first order, whole.
for (const table of document.querySelectorAll("table[data-sorted]")) {
  const body = table.tBodies[0];
  const first = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const valueOf = (row, index) => {
    const cell = row.cells[index];
    if (heads[index].dataset.number === undefined) return cell.textContent.trim();
    return cell.dataset.v === undefined ? NaN : Number(cell.dataset.v);
  };
  const order = (index, sign) => (one, other) => {
    const a = valueOf(one, index), b = valueOf(other, index);
    if (typeof a === "string") return sign * a.localeCompare(b, undefined, { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return sign * (a - b);
  };
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const next = now === "ascending" ? "descending" : now === "descending" ? null : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      if (next !== null) head.setAttribute("aria-sort", next);
      body.append(...(next === null ? first : [...first].sort(order(index, next === "ascending" ? 1 : -1))));
    });
  });

  const bar = document.getElementById(table.id + "-filters");
  if (bar === null) continue;
  const words = bar.querySelector("input");
  const said = bar.querySelector("output");
  const buttons = Array.from(bar.querySelectorAll("button"));
  let tag = "";
  const filter = () => {
    const wanted = words.value.trim().toLowerCase();
    let shown = 0;
    for (const row of first) {
      const has = tag === "" || row.dataset.tags.split(" ").includes(tag);
      row.hidden = !(has && row.textContent.toLowerCase().includes(wanted));
      shown += row.hidden ? 0 : 1;
    }
    said.textContent = shown + " of " + first.length;
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      tag = button.dataset.tag;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      filter();
    });
  }
  words.addEventListener("input", filter);
  bar.hidden = false;
  filter();
}
