/* The page of a sweep, or of a comparison, that is open: takes what is new, and says what it shows. */

const served = JSON.parse(document.getElementById("served").textContent);
let read_at = served.read_at;

function state_text(state, controller) {
  if (state === "running") return `running, by ${controller}`;
  return state;
}

function say_what_is_shown(answer) {
  const state = answer.state ? `${state_text(answer.state, answer.controller)}; ` : "";
  say(`${state}as read at ${time_text(new Date(read_at))}; it updates by itself.`);
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
  if (typeof update_page === "function") await update_page(answer.content);
  else location.reload();
}

document.documentElement.dataset.version = served.version;
say_what_is_shown(served);
follow(`api/${served.kind}${location.search}`, take_answer, served.version);
