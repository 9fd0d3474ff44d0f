/* A trial's own panel: all that is known of it. The address's #trial-7 opens it. */

const CURVES = "curves"; // the plot that has the learning curves
const panel = document.getElementById("panel");
let opened = null; // the trial's number

function open_panel(number) {
  if (!row_of_trial.has(number)) return;
  opened = number;
  const is_new = !panel.open;
  if (is_new) panel.showModal();
  show_panel();
  if (is_new) document.getElementById("title-panel").focus();
  panel.scrollTop = 0;
  hover(number);
  if (location.hash !== `#trial-${number}`) history.replaceState(null, "", `#trial-${number}`);
}

function show_panel() {
  const row = row_of_trial.get(opened);
  const place = view.rows.indexOf(row);
  const heading = element("h2", { id: "title-panel", tabIndex: -1 }, `${row === page.table.winner ? "★ " : ""}Trial ${opened}`);
  const step = (id, text, label, to) => {
    const button = element("button", { type: "button", className: "button", id, disabled: to === undefined }, text);
    button.ariaLabel = label;
    button.addEventListener("click", () => {
      open_panel(trial_of(to));
      // The buttons are new ones, and this may be the last trial.
      if (!panel.contains(document.activeElement)) document.getElementById("panel-close").focus();
    });
    return button;
  };
  const close = element("button", { type: "button", className: "button", id: "panel-close" }, "✕");
  close.ariaLabel = "Close";
  close.addEventListener("click", () => panel.close());
  const focused = panel.contains(document.activeElement) ? document.activeElement.id : "";
  forget_curve();
  panel.replaceChildren(
    element("div", { className: "panel-head" }, heading,
      step("panel-previous", "↑", "Previous trial", place > 0 ? view.rows[place - 1] : undefined),
      step("panel-next", "↓", "Next trial", place >= 0 ? view.rows[place + 1] : undefined), close),
    with_attributes(element("p", { className: "told" }), { role: "status" }),
    facts_of(row), ...failure_of(opened), ...configuration_of(row), ...curve_of(opened), ...command_part(row),
    ...attempts_of(opened), ...output_of(opened));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  draw_curve();
}

function pairs(found) {
  return element("dl", { className: "pairs" }, ...found.filter(([, value]) => value !== "").flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value)]));
}

function facts_of(row) {
  const found = [];
  columns.forEach((column, i) => {
    if (column.key !== null || i === 0 || column.name === "failure") return;
    let text = shown(i, row);
    if (column.name === "state") text = `${page.table.letters[text] ?? ""} ${text}`;
    if (column.name === page.table.metric && page.intervals?.[row]) text += ` (95% interval ${page.intervals[row]})`;
    found.push([column.name, text]);
  });
  return pairs(found);
}

function configuration_of(row) {
  const winner = page.table.winner;
  const compares = winner !== null && winner !== row;
  const rows = columns.filter((column) => column.key !== null).map((column) => {
    const differs = compares && column.values[row] !== column.values[winner];
    if (column.values[row] === "" && !differs) return null;
    const cells = [element("th", { scope: "row" }, column.name), value_cell(column, row, differs)];
    if (compares) cells.push(value_cell(column, winner, false));
    return element("tr", { className: differs ? "differs" : "" }, ...cells);
  }).filter(Boolean);
  if (!rows.length) return [];
  const heads = ["hyperparameter", "value", ...(compares ? [`winner, trial ${trial_of(winner)}`] : [])];
  return [element("h3", {}, "Configuration"), ...(compares ? [element("p", { className: "note" }, "≠ differs from the winner.")] : []),
    table_of(heads, rows, "Configuration")];
}

/* To the digits that matter; the command has all of them. */
function value_cell(column, row, differs) {
  const text = (column.shown ?? column.values)[row];
  const value = text === "" ? element("span", { className: "none" }, "not set") : text;
  const cell = element("div", { className: "value", title: column.values[row].slice(0, 500) }, ...(differs ? [element("span", { className: "star" }, "≠ "), element("b", {}, value)] : [value]));
  return element("td", {}, cell);
}

function table_of(heads, rows, label) {
  const made = element("table", { className: "plain" },
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))), element("tbody", {}, ...rows));
  return with_attributes(element("div", { className: "scroll", tabIndex: 0 }, made), { role: "region", "aria-label": label });
}

function curve_of(number) {
  const curve = page.curves[number];
  if (!curve) return [];
  const place = element("div", { id: "panel-curve", className: "figure" });
  const seen = curve.values.filter((value) => value !== null);
  const course = seen.length ? `from ${Number(seen[0].toPrecision(4))} to ${Number(seen.at(-1).toPrecision(4))}` : "without a finite value";
  with_attributes(place, { role: "img", "aria-label": `Learning curve of trial ${number}, ${course}` });
  const note = curve.of ? [element("p", { className: "note" }, `${curve.values.length} of its ${curve.of} points are drawn.`)] : [];
  return [element("h3", {}, "Learning curve"), place, ...note];
}

function draw_curve() {
  const place = document.getElementById("panel-curve");
  if (!place) return;
  const line = (number, name, style, size) => {
    const curve = page.curves[number];
    return curve ? [{ x: curve.epochs ?? curve.values.map((_, i) => i + 1), y: curve.values, name, mode: "lines+markers", line: { color: colour(style), width: size }, marker: { size: 4 + size } }] : [];
  };
  const winner = page.table.winner === null ? null : trial_of(page.table.winner);
  const layout = page.figures[CURVES].layout;
  Plotly.newPlot(place, [...(winner === null || winner === opened ? [] : line(winner, `winner, trial ${winner}`, "winner", 1.5)), ...line(opened, `trial ${opened}`, "accent", 2.5)], {
    template: template(), height: 230, margin: { l: 8, r: 8, t: 8, b: 8 }, legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 },
    xaxis: { title: layout.xaxis.title, automargin: true, zeroline: false },
    yaxis: { title: layout.yaxis.title, automargin: true, zeroline: false, type: layout.yaxis.type }, dragmode: false,
  }, { responsive: true, displayModeBar: false });
}

function forget_curve() {
  const place = document.getElementById("panel-curve");
  if (place) Plotly.purge(place);
}

function command_part(row) {
  return page.commands === null ? [] : [copyable("panel-command", "Runs it again", command_of(row))];
}

function failure_of(number) {
  const group = page.tracebacks.of[number];
  const row = row_of_trial.get(number);
  const line = columns.find((column) => column.key === null && column.name === "failure").values[row];
  if (line === "") return [];
  const parts = [element("h3", {}, "Failure"), element("p", { className: "line" }, element("code", {}, line))];
  if (group !== undefined) {
    const { first, text } = page.tracebacks.groups[group];
    if (first !== number) parts.push(element("p", { className: "note" }, `The end of that of trial ${first}, which failed alike:`));
    parts.push(block(text, "End of the failure"));
  }
  return parts;
}

function block(text, label) {
  return with_attributes(element("pre", { tabIndex: 0 }, text), { role: "region", "aria-label": label });
}

function attempts_of(number) {
  const all = page.segments;
  const own = all.trial.map((trial, i) => (trial === number ? i : -1)).filter((i) => i >= 0);
  if (!own.length) return [];
  const has_places = all.places.some(Boolean);
  const heads = ["attempt", "epochs", `started, ${all.units.started}`, `took, ${all.units.took}`, "ended", ...(has_places ? ["place"] : [])];
  const rows = own.map((i) => element("tr", {}, ...[
    all.attempt[i], all.to[i] === null ? `from ${all.from[i]}` : `${all.from[i]} to ${all.to[i]}`, all.started[i], all.took[i], all.ends[all.end[i]],
    ...(has_places ? [all.places[all.place[i]]] : []),
  ].map((text) => element("td", {}, String(text)))));
  return [element("h3", {}, own.length === 1 ? "Job" : "Jobs"), table_of(heads, rows, "Jobs of the trial")];
}

function output_of(number) {
  const text = page.logs[number];
  return text ? [element("h3", {}, "End of its output"), block(text, "End of its output")] : [];
}

function trial_of_address() {
  const found = /^#trial-(\d{1,9})$/.exec(location.hash);
  if (found) open_panel(Number(found[1]));
}

panel.addEventListener("close", () => {
  const number = opened;
  opened = null;
  hover(null);
  if (location.hash.startsWith("#trial-")) history.replaceState(null, "", location.pathname + location.search);
  forget_curve();
  panel.replaceChildren();
  // The browser gives the focus back to what had it, unless that is gone.
  if (document.activeElement === document.body) document.querySelector(`#table tr[data-trial="${number}"] button`)?.focus({ preventScroll: true });
});
/* A click beside the panel closes it. */
panel.addEventListener("click", (event) => {
  const { left, right, top, bottom } = panel.getBoundingClientRect();
  if (event.target === panel && (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom)) panel.close();
});
addEventListener("hashchange", trial_of_address);
dark.addEventListener("change", () => { if (opened !== null) show_panel(); });
when_drawn.push(trial_of_address);
/* What its trial has done may have gone on. */
when_updated.push(() => { if (opened !== null) row_of_trial.has(opened) ? show_panel() : panel.close(); });
