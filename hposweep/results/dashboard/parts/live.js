/* What the dashboard's pages share: asking the server again and again, and saying what was read when. */

const SECONDS_BETWEEN_LOOKS = 2;
const SECONDS_WHILE_HIDDEN = 30;

/* The link's token is in a cookie by now: it is not to stand in the address, where people copy it. */
function hide_token() {
  const address = new URL(location.href);
  if (!address.searchParams.has("token")) return;
  address.searchParams.delete("token");
  history.replaceState(null, "", address.pathname + address.search + address.hash);
}

let folder = null; // of the server that the page is of

/* Whether the server that has answered is another one, of another folder. */
function is_of_another(answer) {
  const told = answer.headers.get("Hposweep-Folder");
  folder ??= told;
  return told !== null && told !== folder;
}

/* Asks for the path until the page is left; `take(answer)` gets each answer that differs from the one before.
   `known` is the version of what the page shows already. */
function follow(path, take, known = null) {
  let version = known === null ? null : `"${known}"`;
  let waiting = null;
  let is_asking = false;
  let lost_at = null;
  async function ask() {
    let answer;
    try {
      const headers = version === null || lost_at !== null ? {} : { "If-None-Match": version };
      answer = await fetch(path, { headers, cache: "no-store" });
    } catch {
      lost_at ??= new Date();
      say(`No answer from the dashboard's server since ${time_text(lost_at)}: it has ended, or the connection is cut. What is shown was read before.`, true);
      return;
    }
    if (is_of_another(answer)) {
      lost_at ??= new Date();
      say("The dashboard of another folder answers at this address by now. What is shown was read before: close this page.", true);
      return;
    }
    lost_at = null;
    if (answer.status === 403) say("The server refuses this page: open the link again that hposweep dashboard has printed.", true);
    if (answer.status === 304 || answer.status === 403) return;
    version = answer.headers.get("ETag");
    await take(await answer.json());
  }
  async function look() {
    clearTimeout(waiting);
    if (is_asking) return;
    is_asking = true;
    try {
      await ask();
    } finally {
      is_asking = false;
      waiting = setTimeout(look, 1000 * (document.hidden ? SECONDS_WHILE_HIDDEN : SECONDS_BETWEEN_LOOKS));
    }
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  look();
}

function say(text, is_warning = false) {
  const place = document.getElementById("live");
  if (place.textContent !== text) place.textContent = text;
  place.classList.toggle("warning", is_warning);
}

function time_text(date) {
  return date.toLocaleTimeString("en-GB");
}

/* How long ago: in the largest unit of which there are two. */
function age_text(time, now = Date.now()) {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (Number.isNaN(seconds)) return "";
  for (const [name, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * length) return `${Math.floor(seconds / length)} ${name}`;
  }
  return `${Math.floor(seconds)} s`;
}

hide_token();
