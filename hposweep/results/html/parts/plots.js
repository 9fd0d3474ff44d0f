/* The plots. The content and Plotly's own code are packed, which makes the page a third as large. */

const dark = matchMedia("(prefers-color-scheme: dark)");
const LINE_OF_LEGEND = 30; // its height in pixels
const drawn = new Map(); // what each plot was drawn from
const ranges = new Map(); // of the axes of each plot, as they are without its user's zoom
const when_unpacked = []; // what is done once the content is there, and once there is another
const when_drawn = []; // what is done once all plots are there
const when_updated = []; // what is done once all plots show another content
const after_drawing = []; // what is done with a plot once it is drawn
let drawing = Promise.resolve();

function coloured(node) {
  if (typeof node === "string") return node.length < 40 && dark.matches ? (page.dark[node] ?? node) : node;
  if (Array.isArray(node)) return node.map(coloured);
  if (node && typeof node === "object") return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, coloured(value)]));
  return node;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function template() {
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), tickcolor: colour("line"), automargin: true };
  return { layout: {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
    font: { family: colour("text"), size: 13, color: colour("ink") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("calm"), font: { color: colour("ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("calm"), activecolor: colour("accent") },
  } };
}

async function draw(id) {
  const source = `${dark.matches} ${JSON.stringify(page.figures[id])}`;
  const place = document.getElementById(id);
  if (drawn.get(id) === source && place.data) return;
  drawn.set(id, source);
  const figure = coloured(page.figures[id]);
  figure.layout.template = template();
  figure.layout.uirevision = id;
  name_traces(figure.data);
  const own_ranges = ranges_of(figure.layout);
  keep_zoom(place, figure.layout, ranges.get(id) ?? {});
  ranges.set(id, own_ranges);
  // A finger scrolls the page and doesn't zoom.
  if (matchMedia("(pointer: coarse)").matches) figure.layout.dragmode = false;
  place.style.minHeight = `${figure.layout.height}px`;
  await Plotly.react(place, figure.data, figure.layout, {
    responsive: true, displaylogo: false, displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false, modeBarButtonsToRemove: ["autoScale2d"],
  });
  // What a double click goes back to: Plotly would go back to the ranges of the first figure.
  for (const [name, { range }] of Object.entries(own_ranges)) {
    [place._fullLayout[name]._rangeInitial0, place._fullLayout[name]._rangeInitial1] = range;
  }
  // A legend of several lines takes no height from what it explains.
  const lines = place._fullLayout.showlegend ? (place._fullLayout.legend?._height ?? 0) - LINE_OF_LEGEND : 0;
  if (lines > 0) await Plotly.relayout(place, { height: figure.layout.height + lines });
  for (const each of after_drawing) each(place);
}

/* What its user has hidden stays hidden, whichever traces there are by now. */
function name_traces(traces) {
  const n_of = new Map();
  for (const trace of traces) {
    const name = String(trace.name).replace(/[^A-Za-z0-9]/g, "_"); // Plotly makes classes of it
    n_of.set(name, (n_of.get(name) ?? 0) + 1);
    trace.uid = `${name}-${n_of.get(name)}`;
  }
}

function ranges_of(layout) {
  const axes = Object.entries(layout).filter(([name, axis]) => /^[xy]axis\d*$/.test(name) && axis.range);
  return Object.fromEntries(axes.map(([name, { range, type }]) => [name, { range: [...range], type }]));
}

/* What its user has zoomed into stays when the figure changes. Plotly sees to it for axes without a range of their own. */
function keep_zoom(place, layout, before) {
  for (const [name, { range, type }] of Object.entries(before)) {
    const seen = place.layout?.[name];
    if (!layout[name] || layout[name].type !== type || !seen?.range || String(seen.range) === String(range)) continue;
    layout[name].range = [...seen.range];
    layout[name].autorange = seen.autorange ?? false;
  }
}

/* One after the other, so that the page answers in between. */
function draw_all() {
  drawing = drawing.then(async () => {
    for (const id of Object.keys(page.figures)) {
      if (page.figures[id]) await draw(id);
      await new Promise((resolve) => setTimeout(resolve));
    }
  });
  return drawing;
}

async function start_page() {
  const data = document.getElementById("data");
  Object.assign(page, JSON.parse(data.type === "text/plain" ? await unpacked(data) : data.textContent));
  for (const each of when_unpacked) each();
  if (document.getElementById("plotly")) await unpack_plotly();
  await draw_all();
  dark.addEventListener("change", draw_all);
  for (const each of when_drawn) each();
  document.documentElement.dataset.ready = "plots";
}

async function unpack_plotly() {
  const text = await unpacked(document.getElementById("plotly"));
  drawing = drawing.then(() => document.head.append(element("script", { textContent: text })));
}

async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
