/* The table: a view of sorted, filtered row numbers, of which some are in the document. */

const ROWS_ON_A_PAGE = 50;
const view = { sorted_by: "rank", descending: false, chosen: new Map(), rows: [], first: 0 };
let columns, n_rows, numbers, visible, row_of_trial, haystacks;

/* Takes the table of the page's content; it stays sorted, filtered and opened as it was. */
function take_table() {
  columns = page.table.columns;
  n_rows = columns[0].values.length;
  numbers = columns.map((column) =>
    column.kind === "number" ? column.values.map((text) => (text === "" ? NaN : Number(text))) : null);
  row_of_trial = new Map(columns[0].values.map((text, row) => [Number(text), row]));
  haystacks = null;
  if (!columns.some((column) => column.name === view.sorted_by)) view.sorted_by = "rank";
  document.getElementById("trials").hidden = n_rows === 0;
  show_menu();
  show_head();
  arrange(view.first);
}

function is_chosen(column) {
  return view.chosen.get(column.name) ?? !column.is_detail;
}

function shown(column, row) {
  return (columns[column].shown ?? columns[column].values)[row];
}

function trial_of(row) {
  return Number(columns[0].values[row]);
}

function compare(column, descending) {
  const sign = descending ? -1 : 1;
  if (numbers[column]) {
    const of = numbers[column];
    // What is no number comes last, whatever the direction.
    return (a, b) => Number.isNaN(of[a]) - Number.isNaN(of[b]) || sign * (of[a] - of[b]) || a - b;
  }
  const of = columns[column].values;
  return (a, b) => (of[a] === "") - (of[b] === "") || sign * of[a].localeCompare(of[b], "en", { numeric: true }) || a - b;
}

const OPERATORS = {
  "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
};

/* A word of the filter as a test of a row: `name<number` where a column of numbers has a name that ends so. */
function test_of(word) {
  const parts = /^(.+?)(<=|>=|<|>|=)([-+.\de]+)$/i.exec(word);
  if (parts) {
    const name = parts[1].toLowerCase();
    const column = columns.findIndex((each, i) => numbers[i] && (each.name.toLowerCase() === name || each.name.toLowerCase().endsWith("." + name)));
    if (column >= 0 && !Number.isNaN(Number(parts[3]))) {
      return (row) => OPERATORS[parts[2]](numbers[column][row], Number(parts[3]));
    }
  }
  haystacks ??= [...Array(n_rows).keys()].map((row) =>
    columns.map((column) => column.values[row]).join("\n").toLowerCase());
  return (row) => haystacks[row].includes(word.toLowerCase());
}

function arrange(first = 0) {
  const tests = document.getElementById("filter").value.split(/\s+/).filter(Boolean).map(test_of);
  if (marks.only_selected) tests.push((row) => marks.selected.has(trial_of(row)));
  view.rows = [...Array(n_rows).keys()].filter((row) => tests.every((test) => test(row)));
  view.rows.sort(compare(columns.findIndex((column) => column.name === view.sorted_by), view.descending));
  view.first = first < view.rows.length ? first : 0;
  show_rows();
}

/* Which columns are shown. */
function show_menu() {
  const boxes = columns.map((column, i) => {
    if (i === 0) return null;
    const box = element("input", { type: "checkbox", checked: is_chosen(column) });
    box.addEventListener("change", () => {
      view.chosen.set(column.name, box.checked);
      show_head();
      show_rows();
    });
    return element("label", { title: column.name.slice(0, 300) }, box, " ", element("span", {}, column.name.slice(0, 200)));
  });
  const place = document.querySelector("#columns fieldset");
  place.replaceChildren(place.firstElementChild, ...boxes.filter(Boolean));
}

function show_head() {
  visible = [...columns.keys()].filter((i) => i === 0 || is_chosen(columns[i]));
  const cells = visible.map((i) => {
    const column = columns[i];
    const sorted = column.name === view.sorted_by;
    const arrow = sorted ? (view.descending ? " ▼" : " ▲") : "";
    const button = element("button", { type: "button", title: column.name.slice(0, 300) }, column.name.slice(0, 200) + arrow);
    button.addEventListener("click", () => {
      view.descending = sorted ? !view.descending : false;
      view.sorted_by = column.name;
      arrange();
      show_head();
      document.querySelectorAll("#table thead button")[visible.indexOf(i)].focus();
    });
    const cell = element("th", { scope: "col", className: column.kind }, button);
    cell.ariaSort = sorted ? (view.descending ? "descending" : "ascending") : "none";
    return cell;
  });
  const all = element("input", { type: "checkbox", id: "select-all" });
  all.ariaLabel = "Select the trials that are listed";
  all.addEventListener("change", () => select(all.checked ? view.rows.map(trial_of) : []));
  document.querySelector("#table thead").replaceChildren(element("tr", {}, element("th", { className: "check" }, all), ...cells));
}

function show_rows() {
  const rows = view.rows.slice(view.first, view.first + ROWS_ON_A_PAGE);
  const focused = document.activeElement.closest?.("#table tbody tr")?.dataset.trial;
  const kind = document.activeElement.localName;
  document.querySelector("#table tbody").replaceChildren(...rows.map(row_of));
  if (focused) document.querySelector(`#table tr[data-trial="${focused}"] ${kind}`)?.focus({ preventScroll: true });
  mark_rows();
  const n = view.rows.length;
  const plural = n_rows === 1 ? "" : "s";
  document.getElementById("count").textContent = n === n_rows
    ? `${n_rows.toLocaleString("en")} trial${plural}` : `${n.toLocaleString("en")} of ${n_rows.toLocaleString("en")} trial${plural}`;
  document.getElementById("pager").hidden = n <= ROWS_ON_A_PAGE;
  document.getElementById("page").textContent =
    `rows ${(view.first + 1).toLocaleString("en")} to ${(view.first + rows.length).toLocaleString("en")}`;
  for (const button of document.querySelectorAll("#pager button")) {
    const back = button.dataset.go === "first" || button.dataset.go === "previous";
    button.disabled = back ? view.first === 0 : view.first + ROWS_ON_A_PAGE >= n;
  }
}

function row_of(row) {
  const number = trial_of(row);
  const box = element("input", { type: "checkbox" });
  box.ariaLabel = `Select trial ${number}`;
  box.addEventListener("change", () => toggle(number, box.checked));
  const cells = visible.map((i) => {
    const column = columns[i];
    let text = shown(i, row).slice(0, 200);
    if (i === 0) {
      const button = element("button", { type: "button", className: "link" }, row === page.table.winner ? `★ ${text}` : text);
      button.ariaLabel = `Trial ${number}${row === page.table.winner ? ", the winner" : ""}: open`;
      return element("th", { scope: "row", className: column.kind }, button);
    }
    if (column.key === null && column.name === "state") text = `${page.table.letters[text] ?? ""} ${text}`;
    return element("td", { className: column.kind }, element("span", { title: column.values[row].slice(0, 500) }, text));
  });
  const made = element("tr", { className: row === page.table.winner ? "winner-row" : "" }, element("td", { className: "check" }, box), ...cells);
  made.dataset.trial = number;
  return made;
}

/* Which of the rows in the document are selected, and which one is pointed at. */
function mark_rows() {
  for (const row of document.querySelectorAll("#table tbody tr")) {
    const number = Number(row.dataset.trial);
    row.classList.toggle("hovered", number === marks.hovered);
    row.classList.toggle("selected", marks.selected.has(number));
    row.querySelector("input").checked = marks.selected.has(number);
  }
  const all = document.getElementById("select-all");
  const n = view.rows.filter((row) => marks.selected.has(trial_of(row))).length;
  all.checked = n > 0 && n === view.rows.length;
  all.indeterminate = n > 0 && n < view.rows.length;
}

function command_of(row) {
  return [page.commands.start, page.commands.rows[row]].filter(Boolean).join(" ");
}

document.getElementById("filter").addEventListener("input", () => arrange());
document.getElementById("pager").addEventListener("click", (event) => {
  const go = event.target.dataset.go;
  if (!go) return;
  const last = Math.floor((view.rows.length - 1) / ROWS_ON_A_PAGE) * ROWS_ON_A_PAGE;
  const places = { first: 0, previous: view.first - ROWS_ON_A_PAGE, next: view.first + ROWS_ON_A_PAGE, last };
  view.first = Math.min(Math.max(places[go], 0), last);
  show_rows();
});
const body = document.querySelector("#table tbody");
const trial_at = (event) => Number(event.target.closest("tr")?.dataset.trial ?? NaN);
for (const kind of ["mouseover", "focusin"]) body.addEventListener(kind, (event) => { const number = trial_at(event); if (!Number.isNaN(number)) hover(number); });
for (const kind of ["mouseleave", "focusout"]) body.addEventListener(kind, () => { if (!panel.open) hover(null); });
body.addEventListener("click", (event) => {
  if (event.target.closest(".check") || String(getSelection()) !== "") return;
  const number = trial_at(event);
  if (!Number.isNaN(number)) open_panel(number);
});
when_unpacked.push(take_table);
