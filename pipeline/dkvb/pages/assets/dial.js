// The slider over N: every chart that has a parameter `n` follows it, and the numbers beside it are the sweep's own.
(() => {
  const { charts, dial, has, set } = window.dkvb;
  const slider = document.getElementById("dial"), methods = [...document.querySelectorAll('input[name="dial-method"]')];
  const at = Object.fromEntries(dial.map((one) => [one.method, one.grid.indexOf(one.start)]));
  let method = dial[0].method;
  const here = () => dial.find((one) => one.method === method);
  function show() {
    const { grid, said, symbol } = here(), place = at[method], n = grid[place];
    slider.max = grid.length - 1;
    slider.value = place;
    const [letter, index] = symbol.split("_"), words = said[place];
    const name = document.createElement("i"), sub = document.createElement("sub");
    name.textContent = letter;
    sub.textContent = index;
    document.getElementById("dial-n").replaceChildren(name, sub, ` = ${n.toLocaleString("en")}`);
    for (const key of ["masked", "forget", "retain"]) document.getElementById(`dial-${key}`).textContent = words[key];
    slider.setAttribute("aria-valuetext", `N = ${n}: ${words.masked} pairs masked, forgotten ${words.forget}, others ${words.retain}`);
    document.querySelectorAll("[data-dial-n]").forEach((button) => { button.hidden = button.dataset.dialMethod !== method; });
    for (const id of Object.keys(charts)) {
      if (has(id, "method") && has(id, "n")) set(id, { method, n });
      else if (id === `curve-${method}`) set(id, { n });
    }
  }
  slider.addEventListener("input", () => { at[method] = Number(slider.value); show(); });
  methods.forEach((radio) => radio.addEventListener("change", () => { if (radio.checked) { method = radio.value; show(); } }));
  document.querySelectorAll("[data-dial-n]").forEach((button) => button.addEventListener("click", () => {
    const { grid } = here(), wanted = Number(button.dataset.dialN);
    at[method] = grid.reduce((best, n, place) => (Math.abs(n - wanted) < Math.abs(grid[best] - wanted) ? place : best), 0);
    show();
  }));
  document.querySelector(".dial").hidden = false;
  show();
})();
