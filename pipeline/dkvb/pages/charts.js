// Draws every chart of the page, again whenever the reader's system changes between light and dark.
(() => {
  const { charts, themes } = JSON.parse(document.getElementById("payload").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let drawn = [];
  async function draw() {
    const scheme = dark.matches ? "dark" : "light";
    const { colours, config } = themes[scheme];
    const coloured = (key, value) =>
      typeof value === "string" && value[0] === "@" && value.slice(1) in colours ? colours[value.slice(1)] : value;
    drawn.splice(0).forEach((result) => result.finalize());
    for (const [id, spec] of Object.entries(charts)) {
      drawn.push(await vegaEmbed(`#chart-${id}`, JSON.parse(JSON.stringify(spec), coloured), {
        mode: "vega-lite",
        renderer: "svg",
        config: { ...config, background: colours.page },
        tooltip: { theme: scheme },
        downloadFileName: `${document.body.dataset.page}-${id}`,
        actions: { export: { svg: true, png: true }, source: false, compiled: false, editor: false },
      }));
    }
    document.body.dataset.scheme = scheme;
    document.body.dataset.drawn = drawn.length;
  }
  // one drawing at a time: a change of scheme waits for the drawing before it
  let turn = draw();
  dark.addEventListener("change", () => { turn = turn.then(draw); });
})();
