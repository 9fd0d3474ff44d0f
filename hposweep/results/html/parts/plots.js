"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/* The plots. Plotly's own code is packed, which makes the page half as large. */

function coloured(node) {
  if (typeof node === "string") return node.length < 40 && dark.matches ? (page.dark[node] ?? node) : node;
  if (Array.isArray(node)) return node.map(coloured);
  if (node && typeof node === "object") return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, coloured(value)]));
  return node;
}

function template() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const axis = { gridcolor: colour("line"), linecolor: colour("line"), tickcolor: colour("line"), automargin: true };
  return { layout: {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
    font: { family: style.getPropertyValue("--text").trim(), size: 13, color: colour("ink") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("calm"), font: { color: colour("ink") } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("calm"), activecolor: colour("accent") },
  } };
}

function draw(id) {
  const figure = coloured(page.figures[id]);
  figure.layout.template = template();
  // A finger scrolls the page and doesn't zoom.
  if (matchMedia("(pointer: coarse)").matches) figure.layout.dragmode = false;
  const place = document.getElementById(id);
  place.style.minHeight = `${figure.layout.height}px`;
  return Plotly.react(place, figure.data, figure.layout, {
    responsive: true, displaylogo: false, displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  });
}

async function start_plots() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(element("script", { textContent: await new Response(stream).text() }));
  const draw_all = async () => {
    for (const id of Object.keys(page.figures)) {
      await draw(id);
      await new Promise((resolve) => setTimeout(resolve));
    }
  };
  await draw_all();
  dark.addEventListener("change", draw_all);
  document.documentElement.dataset.ready = "plots";
}
