// Only comfort: the page is complete without this script.
for (const chart of document.querySelectorAll("figure[data-readout]")) {
  const line = chart.querySelector(".readout");
  const say = (event) => {
    const slot = event.target.closest(".slot");
    if (slot) line.textContent = slot.dataset.say;
  };
  chart.addEventListener("pointerover", say);
  chart.addEventListener("focusin", say);
  chart.addEventListener("pointerleave", () => { line.textContent = line.dataset.rest; });
  for (const slot of chart.querySelectorAll(".slot")) slot.tabIndex = 0;
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.value ?? cell.textContent;
        return text !== "" && !isNaN(text) ? Number(text) : text;
      };
      const order = (a, b) =>
        typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * order(key(a), key(b)));
      body.append(...rows);
    });
  });
}
