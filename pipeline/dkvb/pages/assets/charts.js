// Draws every chart of the page, again whenever the reader's system changes between light and dark, and gives each its controls:
// a legend of switches, one for single seeds, choices, zoom, and saving as SVG, PNG or data. Nothing is fetched.
window.dkvb = (() => {
  const { charts, themes, dial } = JSON.parse(document.getElementById("payload").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = {}, chosen = {};
  const SHAPES = { circle: "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0", square: "M-.9,-.9H.9V.9H-.9Z", diamond: "M0,-1.1L.8,0L0,1.1L-.8,0Z",
    cross: "M-1,-.35H-.35V-1H.35V-.35H1V.35H.35V1H-.35V.35H-1Z", stroke: "M-1,-.2H1V.2H-1Z", "triangle-up": "M0,-.9L1,.85H-1Z",
    "triangle-down": "M0,.9L1,-.85H-1Z", "triangle-right": "M.9,0L-.85,1V-1Z", "triangle-left": "M-.9,0L.85,1V-1Z" };

  const OWN = new Set(["values", "datasets", "sort"]);
  // colours are tokens; what a class is called, in data and in orders, is never one
  function paint(node, colours) {
    if (typeof node === "string") return node[0] === "@" && node.slice(1) in colours ? colours[node.slice(1)] : node;
    if (Array.isArray(node)) return node.map((part) => paint(part, colours));
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, OWN.has(key) ? value : paint(value, colours)]));
  }
  const scheme = () => (dark.matches ? "dark" : "light");
  function ready(id, legend) {
    const { colours, config } = themes[scheme()];
    const { usermeta, ...spec } = paint(charts[id], colours);
    const mine = { ...config, background: colours.page, legend: { ...config.legend, ...(legend && usermeta.legend ? {} : { disable: true }) } };
    spec.params = (spec.params || []).map((param) => (param.name in (chosen[id] || {}) ? { ...param, value: chosen[id][param.name] } : param));
    return { spec, config: mine };
  }
  async function draw() {
    for (const id of Object.keys(charts)) {
      const { spec, config } = ready(id, false);
      views[id]?.finalize();
      const options = { mode: "vega-lite", renderer: "svg", config, tooltip: { theme: scheme() }, actions: false };
      try {
        views[id] = (await vegaEmbed(`#chart-${id}`, spec, options)).view;
      } catch (error) {  // the other charts can still be drawn, and the table below holds the numbers
        delete views[id];
        document.getElementById(`chart-${id}`).textContent = "This chart could not be drawn; its numbers are in the table.";
        console.error(`chart ${id}: ${error}`);
        continue;
      }
      // moved while it was being drawn
      for (const [name, value] of Object.entries(chosen[id] || {})) views[id].signal(name, value);
      await views[id].runAsync();
    }
    document.body.dataset.scheme = scheme();
    document.body.dataset.drawn = Object.keys(charts).length;
  }
  const value = (id, name) => chosen[id]?.[name] ?? charts[id].params.find((param) => param.name === name)?.value;
  const has = (id, name) => (charts[id].params || []).some((param) => param.name === name);
  // sets parameters of a chart, now and whenever it is drawn again
  async function set(id, values) {
    chosen[id] = { ...chosen[id], ...values };
    if (!views[id]) return;
    for (const [name, to] of Object.entries(values)) views[id].signal(name, to);
    await views[id].runAsync();
  }

  function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, to] of Object.entries(attributes)) name.startsWith("on") ? made.addEventListener(name.slice(2), to) : made.setAttribute(name, to);
    made.append(...children);
    return made;
  }
  const button = (text, label, onclick) => element("button", { type: "button", "aria-label": label, title: label, onclick }, text);

  function legend(id, entries) {
    const list = element("div", { class: "legend", role: "group", "aria-label": "Show or hide" });
    for (const { name, colour, shape } of entries) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), path = document.createElementNS(svg.namespaceURI, "path");
      svg.setAttribute("viewBox", "-1.2 -1.2 2.4 2.4");
      svg.setAttribute("aria-hidden", "true");
      path.setAttribute("d", SHAPES[shape] || shape);
      path.setAttribute("fill", `var(--${colour.slice(1)})`);
      svg.append(path);
      const entry = element("button", { type: "button", "aria-pressed": "true" }, svg, name);
      entry.addEventListener("click", () => {
        const off = value(id, "off"), next = off.includes(name) ? off.filter((one) => one !== name) : [...off, name];
        entry.setAttribute("aria-pressed", String(!next.includes(name)));
        set(id, { off: next });
      });
      list.append(entry);
    }
    return list;
  }
  function choice(id, { param, label, options }) {
    // charts of one group are chosen for together
    const { group } = charts[id].usermeta, peers = Object.keys(charts).filter((one) => one === id || (group && charts[one].usermeta.group === group));
    const select = element("select", { "data-chooses": `${group || id} ${param}`, onchange: () => {
      document.querySelectorAll(`[data-chooses="${group || id} ${param}"]`).forEach((one) => { one.selectedIndex = select.selectedIndex; });
      peers.forEach((one) => set(one, { [param]: options[select.selectedIndex].value }));
    } });
    options.forEach(({ text }) => select.append(element("option", {}, text)));
    select.selectedIndex = options.findIndex((one) => one.value === value(id, param));
    return element("label", { class: "choice" }, `${label} `, select);
  }
  function seeds(id) {
    const box = element("input", { type: "checkbox", onchange: () => set(id, { seeds: box.checked }) });
    return element("label", { class: "check" }, box, " each seed");
  }
  // zooms about a place in the plot, given as shares of its width and height
  function zoom(id, factor, across = 0.5, up = 0.5) {
    const [x0, x1, y0, y1] = ["x0", "x1", "y0", "y1"].map((name) => value(id, name));
    const x = x0 + across * (x1 - x0), y = y0 + up * (y1 - y0);
    return set(id, { x0: x - (x - x0) * factor, x1: x + (x1 - x) * factor, y0: y - (y - y0) * factor, y1: y + (y1 - y) * factor });
  }
  function pan(id, across, up) {
    const [x0, x1, y0, y1] = ["x0", "x1", "y0", "y1"].map((name) => value(id, name)), dx = across * (x1 - x0), dy = up * (y1 - y0);
    return set(id, { x0: x0 + dx, x1: x1 + dx, y0: y0 + dy, y1: y1 + dy });
  }
  function zooming(id, plot) {
    const start = Object.fromEntries(charts[id].params.filter(({ name }) => /^[xy][01]$/.test(name)).map(({ name, value: at }) => [name, at]));
    plot.tabIndex = 0;
    const keys = { "+": () => zoom(id, 0.6), "=": () => zoom(id, 0.6), "-": () => zoom(id, 1 / 0.6), 0: () => set(id, start), ArrowLeft: () => pan(id, -0.1, 0),
      ArrowRight: () => pan(id, 0.1, 0), ArrowUp: () => pan(id, 0, 0.1), ArrowDown: () => pan(id, 0, -0.1) };
    plot.addEventListener("keydown", (event) => {
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    const place = (event) => {
      const view = views[id], [left, top] = view.origin(), box = plot.querySelector("svg").getBoundingClientRect();
      const scale = box.width / (view.container().querySelector("svg").viewBox.baseVal.width || box.width);
      const at = [(event.clientX - box.left) / scale - left, (event.clientY - box.top) / scale - top];
      return [at[0] / view.signal("width"), 1 - at[1] / view.signal("height")];
    };
    plot.addEventListener("dblclick", (event) => zoom(id, 0.5, ...place(event)));
    let from = null;
    plot.addEventListener("pointerdown", (event) => { from = event.pointerType === "mouse" && event.button === 0 ? place(event) : null; });
    window.addEventListener("pointerup", () => { from = null; });
    plot.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = place(event);
      pan(id, from[0] - to[0], from[1] - to[1]);
      from = to;
    });
    return element("span", { class: "buttons" }, button("+", "Zoom in", () => zoom(id, 0.6)), button("−", "Zoom out", () => zoom(id, 1 / 0.6)),
      button("All", "Show all", () => set(id, start)));
  }

  // the rows that a chart is drawn from, as CSV: columns go by the words of its hovers, where these name them
  function rows(id) {
    const titles = {}, named = (node) => {
      if (node === null || typeof node !== "object") return;
      for (const one of Array.isArray(node) ? node : [node]) if (one?.field && one.title) titles[one.field] ??= one.title;
      Object.values(node).forEach(named);
    };
    const { datasets, ...rest } = charts[id];
    named(rest);
    // sets of marks that only say where a line or a label lies have one row
    const sets = Object.values(datasets).filter((set) => set.length > 1), all = (sets.length ? sets : Object.values(datasets)).flat();
    const fields = [...new Set(all.flatMap(Object.keys))], said = (value) => `"${String(value ?? "").replace(/"/g, '""')}"`;
    return [fields.map((field) => said(titles[field] ?? field)), ...all.map((row) => fields.map((field) => said(row[field])))].map((row) => row.join(",")).join("\r\n");
  }
  function save(url, name) {
    const link = element("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
  }
  // the picture of a chart as it stands, at one width for every screen, with its title and legend
  async function picture(id, kind) {
    const { spec, config } = ready(id, true), host = element("div", { class: "offstage" });
    const title = document.getElementById(`chart-${id}`).closest("[data-title]")?.dataset.title;
    document.body.append(host);
    try {
      const whole = { ...spec, width: 760, padding: 16, autosize: { type: "pad", contains: "content" }, ...(title ? { title } : {}) };
      const { view } = await vegaEmbed(host, whole, { mode: "vega-lite", renderer: "svg", config, actions: false });
      await view.runAsync();
      const url = kind === "svg" ? `data:image/svg+xml;charset=utf-8,${encodeURIComponent(await view.toSVG())}` : await view.toImageURL("png", 2);
      view.finalize();
      return url;
    } finally { host.remove(); }
  }

  for (const [id, { usermeta }] of Object.entries(charts)) {
    const plot = document.getElementById(`chart-${id}`), name = `${document.body.dataset.page}-${id}`;
    const left = element("div", { class: "controls" }), right = element("span", { class: "buttons save" });
    if (usermeta.legend) left.append(legend(id, usermeta.legend));
    for (const one of usermeta.choose || []) left.append(choice(id, one));
    if (has(id, "seeds")) left.append(seeds(id));
    if (usermeta.zoom) left.append(zooming(id, plot));
    for (const kind of ["svg", "png"])
      right.append(button(kind.toUpperCase(), `Save this chart as ${kind.toUpperCase()}`, async () => save(await picture(id, kind), `${name}.${kind}`)));
    right.append(button("Data", "Save what this chart is drawn from as CSV", () => save(`data:text/csv;charset=utf-8,${encodeURIComponent("\ufeff" + rows(id))}`, `${name}.csv`)));
    if (left.childElementCount) plot.before(left);
    plot.after(right);
  }
  // one drawing at a time: a change of scheme waits for the drawing before it
  let turn = draw();
  dark.addEventListener("change", () => { turn = turn.then(draw); });
  return { charts, dial, set, has, value, picture, rows };
})();
