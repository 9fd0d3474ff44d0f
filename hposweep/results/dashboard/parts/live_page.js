/* The page of a sweep, or of a comparison, that is open: takes what is new, and says what it shows. */

const served = JSON.parse(document.getElementById("served").textContent);
let read_at = served.read_at;
folder = served.folder;

function state_text(state, controller) {
  if (state === "running") return `running, by ${controller}`;
  return state;
}

function say_what_is_shown(answer) {
  const state = answer.state ? `${state_text(answer.state, answer.controller)}; ` : "";
  const resume = answer.resume ? [copyable("resume", "Resume it", answer.resume)] : [];
  document.getElementById("resume").replaceChildren(...resume);
  const text = `${state}read at ${time_text(new Date(read_at))}; it updates by itself.`;
  say(text[0].toUpperCase() + text.slice(1));
}

async function take_answer(answer) {
  if (!answer.content) {
    say(`${answer.why} What is shown was read at ${time_text(new Date(read_at))}.`, true);
    return;
  }
  read_at = answer.read_at;
  say_what_is_shown(answer);
  document.documentElement.dataset.version = answer.version;
  if (answer.version === served.version) return;
  served.version = answer.version;
  await update_page(answer.content);
}

document.documentElement.dataset.version = served.version;
say_what_is_shown(served);
follow(`api/${served.kind}${location.search}`, take_answer, served.version);

/* In a trial's panel: all that it prints and logs, followed, in place of the end that the report has. */

const log = { number: null, name: null, names: [], text: "", rest: "", to: null, why: "", is_running: false };
const log_place = document.createElement("div");
const MOST_CHARACTERS_OF_A_LOG = 400_000;

function followed_output_of(number) {
  if (log.number !== number) Object.assign(log, { number, name: null, names: [], text: "", rest: "", to: null, why: "", is_running: false });
  const before = log_place.querySelector("pre");
  const scrolled = before && { top: before.scrollTop, at_end: is_at_end(before) };
  read_log();
  show_log();
  // The panel is made anew, and what is moved in it loses its place.
  requestAnimationFrame(() => {
    const after = log_place.querySelector("pre");
    if (after) after.scrollTop = scrolled && !scrolled.at_end ? scrolled.top : after.scrollHeight;
  });
  return [log_place];
}

function is_at_end(place) {
  return place.scrollHeight - place.scrollTop - place.clientHeight < 30;
}

function show_log() {
  if (!log.name) {
    log_place.replaceChildren();
    return;
  }
  if (log_place.dataset.names !== JSON.stringify([log.number, log.names])) {
    log_place.dataset.names = JSON.stringify([log.number, log.names]);
    const choice = element("select", { id: "log-name" }, ...log.names.map((name) => element("option", { value: name, selected: name === log.name }, name)));
    choice.addEventListener("change", () => {
      Object.assign(log, { name: choice.value, text: "", rest: "", to: null });
      read_log();
    });
    log_place.replaceChildren(
      element("h3", {}, "Output"), element("p", { className: "note" }, element("label", {}, "File ", choice), " ", element("span", { id: "log-state" })),
      with_attributes(element("pre", { tabIndex: 0, className: "log", id: "log" }), { role: "region", "aria-label": "Output of the trial" }));
  }
  const place = log_place.querySelector("pre");
  const stays_at_end = is_at_end(place);
  const text = log.text + log.rest;
  if (place.textContent !== text) place.textContent = text;
  if (stays_at_end) place.scrollTop = place.scrollHeight;
  log_place.querySelector("#log-state").textContent = log.why || (log.is_running ? "Followed while the trial runs." : "");
}

let log_waits = null;

async function read_log() {
  clearTimeout(log_waits);
  const { number, name, to } = log;
  if (number === null || number !== opened) return;
  const query = new URLSearchParams(location.search);
  query.set("trial", number);
  if (name !== null) query.set("name", name);
  if (to !== null) query.set("from", to);
  let answer = null;
  try {
    const found = await fetch(`api/log?${query}`, { cache: "no-store" });
    if (!is_of_another(found)) answer = await found.json();
  } catch {
    // The page says itself that nobody answers.
  }
  if (number !== log.number || name !== log.name || to !== log.to || number !== opened) return;
  if (answer !== null) take_log(answer);
  const more = answer !== null && !answer.why && answer.to !== to && !answer.rest;
  log_waits = setTimeout(read_log, more ? 50 : 1000 * (document.hidden ? SECONDS_WHILE_HIDDEN : SECONDS_BETWEEN_LOOKS));
}

function take_log(answer) {
  log.names = answer.names;
  log.why = log.name && answer.why ? answer.why : "";
  if (!answer.why) {
    // Another position than the one that was asked for: the file was begun anew.
    const goes_on = log.to !== null && answer.from === log.to;
    log.text = (goes_on ? log.text + answer.text : answer.text).slice(-MOST_CHARACTERS_OF_A_LOG);
    Object.assign(log, { name: answer.name, rest: answer.rest, to: answer.to, is_running: answer.is_running });
  }
  show_log();
}

if (typeof output_of === "function") {
  output_of = followed_output_of;
  if (opened !== null) show_panel(); // the address has opened it before this script ran
}
