"use strict";
/* The table of all sweeps: what the server tells of them, sorted and filtered as its user wants it. */

const SIGNS = { running: "◐", finished: "●", stopped: "■", killed: "✕", unreadable: "!", removed: "–" };
const BAD = ["FAILED", "TIMED_OUT", "DIVERGED"];
const LONGEST_METRIC = 30;
const COLUMNS = [
  { name: "sweep", key: (sweep) => sweep.name },
  { name: "state", key: (sweep) => sweep.state },
  { name: "progress", key: (sweep) => (sweep.n_trials ? sweep.n_done / sweep.n_trials : NaN), kind: "number", className: "text" },
  { name: "best value", key: (sweep) => sweep.best?.value ?? NaN, kind: "number" },
  { name: "run by", key: (sweep) => sweep.controller ?? "" },
  { name: "started", key: (sweep) => age_of(sweep.started_at), kind: "number", title: "how long ago its first run started" },
  { name: "last change", key: (sweep) => age_of(sweep.changed_at), kind: "number", title: "how long ago its journal got its last event" },
];
const view = { column: null, descending: false, ticked: new Set(), shown: null };
let sweeps = [];

function class_of(column) {
  return column.className ?? column.kind ?? "text";
}

function age_of(time) {
  const moment = Date.parse(time);
  return Number.isNaN(moment) ? NaN : -moment;
}

function compare(column, descending) {
  const sign = descending ? -1 : 1;
  return (one, other) => {
    const [a, b] = [column.key(one), column.key(other)];
    if (column.kind !== "number") return sign * a.localeCompare(b, "en", { numeric: true });
    // What is no number comes last, whatever the direction.
    return Number.isNaN(a) - Number.isNaN(b) || sign * (a - b) || 0;
  };
}

function haystack(sweep) {
  return [sweep.name, sweep.state, sweep.why, sweep.metric, sweep.controller, sweep.best?.text].join("\n").toLowerCase();
}

function show() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = sweeps.filter((sweep) => words.every((word) => haystack(sweep).includes(word)));
  // In the server's order the newest come first.
  if (view.column !== null) rows.sort(compare(COLUMNS[view.column], view.descending));
  const focused = document.activeElement?.id;
  const selected = String(getSelection());
  // A selection that its user is about to copy stays.
  if (!selected || !document.getElementById("sweeps").contains(getSelection().anchorNode)) {
    document.querySelector("#sweeps tbody").replaceChildren(...rows.flatMap(rows_of));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
  const n = sweeps.length;
  const all = `${n} sweep${n === 1 ? "" : "s"}`;
  document.getElementById("count").textContent = rows.length === n ? all : `${rows.length} of ${all}`;
  document.getElementById("none").hidden = n > 0;
  const known = new Set(sweeps.filter((sweep) => sweep.state !== "removed").map((sweep) => sweep.id));
  for (const id of view.ticked) if (!known.has(id)) view.ticked.delete(id);
  const button = document.getElementById("compare");
  button.disabled = view.ticked.size < 2;
  button.textContent = view.ticked.size < 2 ? "Compare" : `Compare ${view.ticked.size} sweeps`;
}

function show_head() {
  const cells = COLUMNS.map((column, i) => {
    const sorted = i === view.column;
    const arrow = sorted ? (view.descending ? " ▼" : " ▲") : "";
    const button = element("button", { type: "button", id: `sort-${i}`, title: column.title ?? "" }, column.name + arrow);
    button.addEventListener("click", () => {
      view.descending = sorted ? !view.descending : false;
      view.column = i;
      show_head();
      show();
      document.getElementById(`sort-${i}`).focus();
    });
    const cell = element("th", { scope: "col", className: class_of(column) }, button);
    cell.ariaSort = sorted ? (view.descending ? "descending" : "ascending") : "none";
    return cell;
  });
  const ticks = element("th", { scope: "col" });
  ticks.ariaLabel = "Compare";
  document.querySelector("#sweeps thead").replaceChildren(element("tr", {}, ticks, ...cells));
}

function rows_of(sweep) {
  const is_gone = sweep.state === "removed";
  const tick = element("input", { type: "checkbox", id: `tick-${sweep.id}`, checked: view.ticked.has(sweep.id), disabled: is_gone });
  tick.ariaLabel = `Compare ${sweep.name}`;
  tick.addEventListener("change", () => {
    tick.checked ? view.ticked.add(sweep.id) : view.ticked.delete(sweep.id);
    show();
  });
  const address = `sweep?id=${encodeURIComponent(sweep.id)}`;
  const name = is_gone ? element("span", {}, sweep.name) : element("a", { href: address, id: `open-${sweep.id}` }, sweep.name);
  const state = element("span", { className: `state ${sweep.state}` }, `${SIGNS[sweep.state] ?? ""} ${sweep.state}`);
  const cells = [[tick], [name], [state], progress_of(sweep), best_of(sweep), [sweep.controller ?? ""],
    [ago(sweep.started_at)], [ago(sweep.changed_at)]];
  const kinds = ["text", ...COLUMNS.map(class_of)];
  const row = element("tr", {}, ...cells.map((content, i) => element("td", { className: kinds[i] }, ...content)));
  row.dataset.id = sweep.id;
  const more = [];
  if (is_gone) more.push("The folder was removed.");
  if (sweep.why) more.push(sweep.why);
  const children = more.map((text) => element("p", { className: "note" }, text));
  if (sweep.resume) children.push(copyable(`resume-${sweep.id}`, `Resume ${sweep.name}`, sweep.resume));
  if (!children.length) return [row];
  return [row, element("tr", { className: "below" }, element("td"), element("td", { colSpan: COLUMNS.length }, ...children))];
}

function ago(time) {
  return age_text(time) && `${age_text(time)} ago`;
}

function progress_of(sweep) {
  if (!sweep.n_trials) return [""];
  const bar = element("progress", { max: sweep.n_trials, value: sweep.n_done });
  bar.ariaLabel = `${sweep.n_done} of ${sweep.n_trials} trials`;
  const states = Object.entries(sweep.states).map(([state, n]) => [state, `${n.toLocaleString("en")} ${state}`]);
  const bad = states.filter(([state]) => BAD.includes(state)).map(([, text]) => `, ${text}`).join("");
  const done = `${sweep.n_done.toLocaleString("en")} of ${sweep.n_trials.toLocaleString("en")}${bad}`;
  return [bar, element("div", { className: "calm", title: states.map(([, text]) => text).join(", ") }, done)];
}

function best_of(sweep) {
  if (!sweep.best) return [""];
  const metric = `${sweep.metric}, ${sweep.direction}`;
  const trial = `${sweep.metric.slice(0, LONGEST_METRIC)}, trial ${sweep.best.trial}${sweep.best.is_complete ? "" : ", not complete"}`;
  return [element("div", { title: metric }, sweep.best.text), element("div", { className: "calm" }, trial)];
}

function take(answer) {
  sweeps = answer.sweeps;
  document.getElementById("folder").textContent = answer.folder;
  const n_running = sweeps.filter((sweep) => sweep.state === "running").length;
  document.title = n_running ? `(${n_running} running) Sweeps: hposweep` : "Sweeps: hposweep";
  say(answer.why || `Read at ${time_text(new Date())}; it updates by itself.`, Boolean(answer.why));
  show();
  document.documentElement.dataset.ready = "list";
}

document.getElementById("filter").addEventListener("input", show);
document.getElementById("compare").addEventListener("click", () => {
  const query = [...view.ticked].map((id) => `id=${encodeURIComponent(id)}`).join("&");
  location.href = `compare?${query}`;
});
setInterval(() => { if (!document.hidden) show(); }, 10_000); // ages
show_head();
follow("api/sweeps", take);
