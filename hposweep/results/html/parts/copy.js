"use strict";
const page = JSON.parse(document.getElementById("data").textContent);

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
