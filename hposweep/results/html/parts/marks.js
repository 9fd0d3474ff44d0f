/* A trial that is pointed at, and those that are selected, are marked in all plots and in the table at once.

Marks are drawn over the plots, by the positions that plotly gives them: it would take long to draw itself anew. */

const TRIALS = "trials"; // `meta` of the traces whose points are trials: the first number of customdata is the trial's
const MOST_LINES = 60; // of selected trials
const marks = { hovered: null, selected: new Set(), only_selected: false };
const indexes = new WeakMap(); // of each plot: by trial its points, as [trace, point, trace, point, ...]
let waits_for_hover = false;

function number_of(custom) {
  return typeof custom === "number" ? custom : Number(custom?.[0] ?? NaN);
}

function index_of(place) {
  let index = indexes.get(place);
  if (index) return index;
  index = new Map();
  place._fullData.forEach((trace, at) => {
    if (trace.meta !== TRIALS || !trace.customdata) return;
    for (let i = 0; i < trace.customdata.length; i++) {
      const number = number_of(trace.customdata[i]);
      if (!index.has(number)) index.set(number, []);
      index.get(number).push(at, i);
    }
  });
  indexes.set(place, index);
  return index;
}

/* The points of a trial in a plot, those of each trace as [x, y] in pixels from its upper left corner. */
function points_of(place, number) {
  const found = new Map();
  const index = index_of(place).get(number) ?? [];
  for (let k = 0; k < index.length; k += 2) {
    const trace = place._fullData[index[k]];
    if (trace.visible !== true) continue;
    const x_axis = place._fullLayout[`xaxis${(trace.xaxis ?? "x").slice(1)}`];
    const y_axis = place._fullLayout[`yaxis${(trace.yaxis ?? "y").slice(1)}`];
    const x = trace.x[index[k + 1]], y = trace.y[index[k + 1]];
    if (!found.has(trace)) found.set(trace, { x_axis, y_axis, points: [] });
    const at = Number.isNaN(x) || Number.isNaN(y) || x === null || y === null ? null : [x_axis._offset + x_axis.d2p(x), y_axis._offset + y_axis.d2p(y)];
    found.get(trace).points.push(at);
  }
  return found;
}

function layer(place, name) {
  let canvas = place.querySelector(`:scope > canvas.${name}`);
  if (!canvas) {
    canvas = element("canvas", { className: `marks ${name}` });
    canvas.ariaHidden = "true";
    place.append(canvas);
  }
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(place.clientWidth * scale), height = Math.round(place.clientHeight * scale);
  const brush = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  } else {
    brush.clearRect(0, 0, width, height);
  }
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  return { canvas, brush };
}

function draw_marks(place, name, numbers) {
  if (!place._fullData || (!numbers.length && !place.querySelector(`:scope > canvas.${name}`))) return;
  const { canvas, brush } = layer(place, name);
  canvas.dataset.trials = numbers.length > MOST_LINES ? `${numbers.length} trials` : numbers.filter((number) => index_of(place).has(number)).join(" ");
  const halo = colour("card"), ink = colour(name === "hovered" ? "mark" : "accent");
  for (const number of numbers) {
    for (const [trace, { x_axis, y_axis, points }] of points_of(place, number)) {
      brush.save();
      brush.beginPath();
      brush.rect(x_axis._offset - 6, y_axis._offset - 6, x_axis._length + 12, y_axis._length + 12);
      brush.clip();
      if (trace.mode?.includes("lines") && numbers.length <= MOST_LINES) draw_line(brush, points, halo, ink);
      const has_dots = trace.mode?.includes("markers") || points.filter(Boolean).length === 1;
      const radius = points.length > 3 ? 3 : 6;
      if (has_dots) for (const point of points) if (point) draw_ring(brush, point, radius, halo, ink);
      brush.restore();
    }
  }
}

function draw_line(brush, points, halo, ink) {
  for (const [width, style] of [[5, halo], [2.5, ink]]) {
    brush.beginPath();
    let is_on = false;
    for (const point of points) {
      if (!point) is_on = false;
      else if (is_on) brush.lineTo(...point);
      else { brush.moveTo(...point); is_on = true; }
    }
    brush.lineWidth = width;
    brush.strokeStyle = style;
    brush.stroke();
  }
}

function draw_ring(brush, [x, y], radius, halo, ink) {
  for (const [width, style] of [[5, halo], [2.5, ink]]) {
    brush.beginPath();
    brush.arc(x, y, radius, 0, 2 * Math.PI);
    brush.lineWidth = width;
    brush.strokeStyle = style;
    brush.stroke();
  }
}

function drawn_plots() {
  return Object.keys(page.figures).map((id) => document.getElementById(id)).filter((place) => place?._fullData);
}

/* Points at a trial; at none where the number is null. */
function hover(number) {
  if (number === marks.hovered) return;
  marks.hovered = number;
  if (waits_for_hover) return;
  waits_for_hover = true;
  requestAnimationFrame(() => {
    waits_for_hover = false;
    for (const place of drawn_plots()) draw_marks(place, "hovered", marks.hovered === null ? [] : [marks.hovered]);
    mark_rows();
  });
}

/* Selects these trials; `only`: the table shows no others. */
function select(numbers, only = marks.only_selected) {
  marks.selected = new Set(numbers);
  marks.only_selected = only && marks.selected.size > 0;
  for (const place of drawn_plots()) {
    draw_marks(place, "selected", [...marks.selected]);
    if (!marks.selected.size && place._fullData.some((trace) => trace.selectedpoints)) {
      Plotly.update(place, { selectedpoints: [null] }, { selections: [] });
    }
  }
  document.documentElement.classList.toggle("has-selection", marks.selected.size > 0);
  show_selection();
  arrange(view.first);
}

function toggle(number, is_on) {
  const selected = new Set(marks.selected);
  is_on ? selected.add(number) : selected.delete(number);
  select(selected);
}

function show_selection() {
  const n = marks.selected.size;
  document.getElementById("selection").hidden = n === 0;
  document.getElementById("selected").textContent = n === 0 ? "" : `${n.toLocaleString("en")} trial${n === 1 ? "" : "s"} selected`;
  document.getElementById("only-selected").checked = marks.only_selected;
}

/* What a plot needs to take part, once it is drawn for the first time; and again each time. */
function link(place) {
  indexes.delete(place);
  if (place.dataset.linked) return;
  place.dataset.linked = "yes";
  const trial_at = (event) => {
    const point = event?.points?.find((each) => each.fullData.meta === TRIALS);
    return point ? number_of(point.customdata) : null;
  };
  place.on("plotly_hover", (event) => hover(trial_at(event)));
  place.on("plotly_unhover", () => hover(null));
  place.on("plotly_click", (event) => {
    const number = trial_at(event);
    if (number === null || Number.isNaN(number)) return;
    if (!marks.selected.has(number)) select([number], false);
    open_panel(number);
  });
  place.on("plotly_selected", (event) => {
    if (!event?.points) return;
    select(event.points.filter((each) => each.fullData.meta === TRIALS).map((each) => number_of(each.customdata)), true);
  });
  place.on("plotly_deselect", () => select([]));
  place.on("plotly_afterplot", () => {
    draw_marks(place, "selected", [...marks.selected]);
    draw_marks(place, "hovered", marks.hovered === null ? [] : [marks.hovered]);
  });
}

after_drawing.push(link);
document.getElementById("only-selected").addEventListener("change", (event) => select(marks.selected, event.target.checked));
document.getElementById("clear-selection").addEventListener("click", () => {
  select([]);
  document.getElementById("filter").focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && marks.selected.size && !document.querySelector("dialog[open], details.menu[open]")) select([]);
});
