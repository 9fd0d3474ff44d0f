"use strict";
const page = {}; // its content, once it is unpacked

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/* Commands, each with a button that copies it. */

function copyable(id, label, text) {
  return element("div", { className: "copyable" },
    element("p", { className: "label", id: `label-${id}` }, label),
    with_attributes(element("button", { type: "button", className: "copy", id: `copy-${id}` }, "Copy"), { "aria-describedby": `label-${id}` }),
    with_attributes(element("pre", { className: "command", tabIndex: 0 }, text), { "aria-labelledby": `label-${id}` }));
}

function with_attributes(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

async function copied(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return true;
  } catch {
    // No clipboard for pages of this kind, or it is refused: what is selected can be copied.
    getSelection().selectAllChildren(pre);
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button.copy");
  if (!button) return;
  const done = await copied(button.parentElement.querySelector("pre"));
  button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
  tell(button.textContent);
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

/* For screen readers: an open dialog hides all that is outside of it. */
function tell(text) {
  const place = document.querySelector("dialog[open] .told") ?? document.getElementById("told");
  place.textContent = "";
  setTimeout(() => { place.textContent = text; }, 50);
}

/* What scrolls sideways shows at which edge there is more. */

const watched = new WeakSet();

function watch_edges() {
  for (const place of document.querySelectorAll(".edges > .scroll")) {
    if (watched.has(place)) continue;
    watched.add(place);
    const look = () => {
      place.parentElement.classList.toggle("more-left", place.scrollLeft > 1);
      place.parentElement.classList.toggle("more-right", place.scrollWidth - place.clientWidth - place.scrollLeft > 1);
    };
    place.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(place);
    if (place.firstElementChild) observer.observe(place.firstElementChild);
    look();
  }
}

/* A menu closes by a click beside it, and by Escape. */

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("details.menu[open]");
  if (event.key !== "Escape" || !menu) return;
  event.stopImmediatePropagation();
  menu.open = false;
  menu.querySelector("summary").focus();
});
watch_edges();
