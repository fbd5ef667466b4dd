// Tables: every head sorts, and every table can be saved as it stands.

// A cell that begins like a formula is one to a spreadsheet, unless it is a number.
function csvCell(value) {
  const text = String(value ?? "");
  const safe = /^[=+@\t\r-]/.test(text) && !/^[+-]?[\d.]+(e[+-]?\d+)?$/i.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csvOf(rows) {
  return rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function saveCsv(name, rows) {
  // The mark tells spreadsheets that the text is UTF-8.
  const address = URL.createObjectURL(new Blob(["\ufeff", csvOf(rows)], { type: "text/csv;charset=utf-8" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

const cellText = (cell) => cell.dataset.csv ?? cell.textContent.trim().replace(/\s+/g, " ");
const sortKey = (cell) => cell.dataset.value ?? cellText(cell);

function sortBy(table, column, falling) {
  const body = table.tBodies[0];
  const numbers = new Intl.Collator("en", { numeric: true });
  const order = (a, b) => {
    const [one, other] = [a, b].map((row) => sortKey(row.cells[column]));
    // An empty cell comes last, whichever way the others go.
    if (one === "" || other === "") return (one === "") - (other === "");
    const [x, y] = [Number(one), Number(other)];
    const sign = falling ? -1 : 1;
    return sign * (Number.isNaN(x) || Number.isNaN(y) ? numbers.compare(one, other) : x - y);
  };
  body.append(...[...body.rows].sort(order));
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = element("button", { class: "sort", onclick: () => {
      const falling = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      sortBy(table, column, falling);
    } });
    button.append(...head.childNodes);
    head.replaceChildren(button);
  });
  const rows = () => [...table.rows].map((row) => [...row.cells].map(cellText));
  const save = element("button", { class: "save", text: "CSV", title: "Save this table as CSV",
    onclick: () => saveCsv(`${table.dataset.name}.csv`, rows()) });
  table.closest(".scroll").before(save);
}

document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll(".gallery").forEach(buildGallery);
