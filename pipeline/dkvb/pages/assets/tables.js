// Every table can be saved as CSV and sorted by any column, and one of class `stack` is a list of cards on a phone.
(() => {
  // rows under a heading name it in a column of their own, since a file has no headings
  const under = (row) => (row.closest("thead") ? '""' : `"${row.parentElement.querySelector("tr.kind")?.innerText.trim().replace(/"/g, '""') ?? ""}"`);
  const cell = (node) => `"${(node.dataset.value ?? said(node)).replace(/\s+/g, " ").trim().replace(/"/g, '""')}"`;
  const csv = (table) => {
    const kinds = table.querySelector("tr.kind");
    return [...table.rows].filter((row) => !row.classList.contains("kind")).map((row) => [...(kinds ? [under(row)] : []),
      ...[...row.cells].flatMap((one) => [cell(one), ...Array(one.colSpan - 1).fill('""')])].join(",")).join("\r\n");
  };
  window.dkvbCsv = csv;
  // a shortened name is saved whole
  function said(node) {
    const whole = node.querySelectorAll("[data-whole]");
    if (!whole.length) return node.innerText;
    const copy = node.cloneNode(true);
    copy.querySelectorAll("[data-whole]").forEach((one) => { one.textContent = one.dataset.whole; });
    return copy.textContent;
  }

  // the cell of a table's head above each column, the lowest where there are several rows of heads
  function heads(table) {
    const found = [], taken = [];
    [...(table.tHead?.rows || [])].forEach((row, level, rows) => {
      let column = 0;
      for (const one of row.cells) {
        while (taken[column] > level) column++;
        for (let at = column; at < column + one.colSpan; at++) {
          taken[at] = level + one.rowSpan;
          if (level + one.rowSpan === rows.length && one.colSpan === 1) found[at] = one;
        }
        column += one.colSpan;
      }
    });
    return found;
  }
  const words = (node) => node.textContent.replace(/\s+/g, " ").trim();
  const UNITS = { ms: 0.001, s: 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, B: 1, kB: 1e3, MB: 1e6, GB: 1e9 };
  // what a cell is sorted by: a number, words, or null where nothing is said
  function key(node) {
    const given = node?.dataset.value, text = given ?? words(node?.querySelector("b") || node || document.createElement("i"));
    if (/^[–—]?$/.test(text)) return null;
    const plain = text.replace(/−/g, "-").replace(/(\d),(?=\d{3})/g, "$1").replace(/^[^\d]*[=≈]\s*/, "");
    const minutes = plain.match(/^(\d+) min(?: (\d+) s)?/);
    if (minutes) return 60 * minutes[1] + Number(minutes[2] || 0);
    const number = plain.match(/^([<>±]?)\s*([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?:\s*(ms|s|[kMGT]B|[kMGTB])(?![a-z]))?/i);
    if (!number || /^\d{4}-\d\d/.test(plain)) return plain.toLowerCase();
    const nudge = number[1] === "<" ? -1e-6 : number[1] === ">" ? 1e-6 : 0;
    return Number(number[2]) * (UNITS[number[3]] ?? 1) + nudge;
  }
  function compare(a, b) {
    if (a === null || b === null) return null;
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  }
  // a cell that spans rows stands in each of them, so that any row can go anywhere; groups with a heading keep their rows
  function loosen(table) {
    for (const row of [...table.querySelectorAll("tbody tr")]) {
      for (const one of [...row.cells].filter((each) => each.rowSpan > 1)) {
        const at = one.cellIndex;
        let next = row;
        for (let left = one.rowSpan - 1; left > 0 && (next = next.nextElementSibling); left--) {
          const copy = one.cloneNode(true);
          copy.rowSpan = 1;
          next.insertBefore(copy, next.cells[at] || null);
        }
        one.rowSpan = 1;
      }
    }
    if (table.querySelector("tr.kind")) return;
    const [first, ...rest] = table.tBodies;
    rest.forEach((body) => { first.append(...body.rows); body.remove(); });
  }
  function sort(table, head, column) {
    const up = head.getAttribute("aria-sort") !== "ascending", sign = up ? 1 : -1;
    loosen(table);
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("kind")).map((row, place) => ({ row, place, key: key(row.cells[column]) }));
      // what is missing comes last either way
      rows.sort((a, b) => {
        const by = compare(a.key, b.key);
        return by === null ? (a.key === null) - (b.key === null) || a.place - b.place : sign * by || a.place - b.place;
      });
      body.append(...rows.map(({ row }) => row));
    }
    table.querySelectorAll("[aria-sort]").forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  }
  function sortable(table, below) {
    const found = heads(table), names = found.map((head) => head && (head.dataset.value ?? words(head)));
    if (table.querySelectorAll("tbody tr:not(.kind)").length < 2) return;
    const select = document.createElement("select");
    select.append(new Option("Sort by …", ""));
    found.forEach((head, column) => {
      if (!head) return;
      const button = document.createElement("button"), link = head.querySelector("a");
      button.type = "button";
      button.className = "sort";
      button.title = `Sort by ${names[column]}`;
      if (link) {  // a link in a head stays one
        button.setAttribute("aria-label", button.title);
        head.append(button);
      } else {
        button.append(...head.childNodes);
        head.append(button);
      }
      button.addEventListener("click", () => { sort(table, head, column); select.value = ""; });
      select.append(new Option(names[column], column));
    });
    select.className = "sort-by";
    select.setAttribute("aria-label", "Sort by");
    select.addEventListener("change", () => { if (select.value) sort(table, found[select.value], Number(select.value)); });
    table.dataset.sortable = "";
    if (table.classList.contains("stack")) below.append(select);
  }
  function stack(table) {
    const found = heads(table).map((head) => (head ? words(head) : ""));
    for (const row of table.querySelectorAll("tbody tr")) {
      let column = 0;
      for (const one of row.cells) {
        if (one.tagName === "TD" && !one.dataset.label && one.colSpan === 1) one.dataset.label = found[column] || "";
        // on a card what is not there need not be said; the reason, where there is one, is told on hovering the dash of the table
        if (/^[–\s]*$/.test(one.textContent)) one.classList.add("nothing-said");
        column += one.colSpan;
      }
    }
    table.classList.add("labelled");
  }
  function saving(table) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "csv";
    button.textContent = "CSV";
    button.title = `Save this table as ${table.dataset.csv}.csv`;
    button.setAttribute("aria-label", button.title);
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      // the mark in front tells spreadsheets that it is UTF-8
      link.href = URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv;charset=utf-8" }));
      link.download = `${table.dataset.csv}.csv`;
      document.body.append(link);
      link.click();
      link.remove();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    return button;
  }
  document.querySelectorAll("main table").forEach((table) => {
    const below = document.createElement("div");
    below.className = "below";
    if (table.classList.contains("stack")) { loosen(table); stack(table); }
    if (table.dataset.csv) below.append(saving(table));
    if (table.tHead) sortable(table, below);
    if (below.childElementCount) (table.closest(".scroll") || table).after(below);
  });
})();
