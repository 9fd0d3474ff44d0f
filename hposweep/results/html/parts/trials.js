/* The table: a view of sorted, filtered row numbers, of which some are in the document. */

const ROWS_ON_A_PAGE = 50;
const table = page.table;
const columns = table.columns;
const n_rows = columns[0].values.length;
const numbers = columns.map((column) =>
  column.kind === "number" ? column.values.map((text) => (text === "" ? NaN : Number(text))) : null);
const visible = [...columns.keys()].filter((i) => !columns[i].is_detail);
const seeds = columns.find((column) => column.key === null && column.name === "seed").values;
const view = { sorted_by: 0, descending: false, rows: [...Array(n_rows).keys()], first: 0, opened: new Set() };
let haystacks = null;

function shown(column, row) {
  return (columns[column].shown ?? columns[column].values)[row];
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

function arrange() {
  const tests = document.getElementById("filter").value.split(/\s+/).filter(Boolean).map(test_of);
  view.rows = [...Array(n_rows).keys()].filter((row) => tests.every((test) => test(row)));
  view.rows.sort(compare(view.sorted_by, view.descending));
  view.first = 0;
  show_rows();
}

function show_head() {
  const cells = visible.map((i) => {
    const column = columns[i];
    const sorted = i === view.sorted_by;
    const arrow = sorted ? (view.descending ? " ▼" : " ▲") : "";
    const button = element("button", { type: "button", title: column.name.slice(0, 300) }, column.name.slice(0, 200) + arrow);
    button.addEventListener("click", () => {
      view.descending = sorted ? !view.descending : false;
      view.sorted_by = i;
      arrange();
      show_head();
      document.querySelectorAll("#table thead button")[visible.indexOf(i)].focus();
    });
    const cell = element("th", { scope: "col", className: column.kind }, button);
    cell.ariaSort = sorted ? (view.descending ? "descending" : "ascending") : "none";
    return cell;
  });
  const first = element("th", { scope: "col" });
  first.ariaLabel = "Details";
  document.querySelector("#table thead").replaceChildren(element("tr", {}, first, ...cells));
}

function show_rows() {
  const rows = view.rows.slice(view.first, view.first + ROWS_ON_A_PAGE);
  document.querySelector("#table tbody").replaceChildren(
    ...rows.flatMap((row) => (view.opened.has(row) ? [row_of(row), details_of(row)] : [row_of(row)])));
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
  const is_open = view.opened.has(row);
  const button = element("button", { type: "button" }, is_open ? "−" : "+");
  button.ariaExpanded = String(is_open);
  button.ariaLabel = `Details of trial ${columns[0].values[row]}`;
  button.addEventListener("click", () => {
    is_open ? view.opened.delete(row) : view.opened.add(row);
    show_rows();
    document.querySelector(`#table tr[data-row="${row}"] button`).focus();
  });
  const cells = visible.map((i) => {
    const column = columns[i];
    let text = shown(i, row).slice(0, 200);
    if (i === 1) text = `${table.letters[text] ?? ""} ${text}`;
    if (i === 0 && row === table.winner) text = `★ ${text}`;
    return element("td", { className: column.kind }, element("span", { title: column.values[row].slice(0, 500) }, text));
  });
  const made = element("tr", { className: row === table.winner ? "winner-row" : "" }, element("td", {}, button), ...cells);
  made.dataset.row = row;
  return made;
}

function details_of(row) {
  const pairs = [];
  if (page.commands !== null) {
    pairs.push(["runs it again", element("code", { className: "command" }, command_of(row))]);
  }
  for (const column of columns) {
    // A hyperparameter to its last digit.
    const text = column.key === null ? (column.shown ?? column.values)[row] : column.values[row];
    if ((column.is_detail || column.key !== null) && text !== "") pairs.push([column.name, text]);
  }
  const list = element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  return element("tr", { className: "more" }, element("td", { colSpan: visible.length + 1 }, list));
}

function command_of(row) {
  return [page.commands.start, page.commands.rows[row]].filter(Boolean).join(" ");
}

document.getElementById("filter").addEventListener("input", arrange);
document.getElementById("pager").addEventListener("click", (event) => {
  const go = event.target.dataset.go;
  if (!go) return;
  const last = Math.floor((view.rows.length - 1) / ROWS_ON_A_PAGE) * ROWS_ON_A_PAGE;
  const places = { first: 0, previous: view.first - ROWS_ON_A_PAGE, next: view.first + ROWS_ON_A_PAGE, last };
  view.first = Math.min(Math.max(places[go], 0), last);
  show_rows();
});
show_head();
arrange();
