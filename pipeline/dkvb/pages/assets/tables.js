// A button below every table that saves it as CSV, and details opened before printing.
(() => {
  const cell = (node) => `"${(node.dataset.value ?? node.innerText).replace(/\s+/g, " ").trim().replace(/"/g, '""')}"`;
  const csv = (table) => [...table.rows].map((row) => [...row.cells].flatMap((one) => [cell(one), ...Array(one.colSpan - 1).fill('""')]).join(",")).join("\r\n");
  window.dkvbCsv = csv;
  document.querySelectorAll("table[data-csv]").forEach((table) => {
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
    (table.closest(".scroll") || table).after(button);
  });
})();
