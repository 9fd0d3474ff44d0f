/* Another content of the page, of the same sweep or comparison: what is new replaces what was there, and all else stays. */

const shown_parts = {}; // the HTML that each part was last given

async function update_page(content) {
  const gone = Object.keys(page.figures).filter((id) => !(id in content.figures));
  Object.assign(page, content);
  document.title = page.title;
  const purged = gone.map((id) => document.getElementById(id)).filter(Boolean);
  for (const [id, html] of Object.entries(page.parts)) put_part(id, html);
  for (const place of purged) if (place.data) Plotly.purge(place);
  for (const id of gone) for (const known of [drawn, ranges]) known.delete(id);
  watch_edges();
  for (const each of when_unpacked) each();
  await draw_all();
  for (const each of when_updated) each();
}

function put_part(id, html) {
  if (shown_parts[id] === html) return;
  shown_parts[id] = html;
  const place = document.getElementById(id);
  const made = element("div", { innerHTML: html });
  const focus = place.contains(document.activeElement) ? way_to(document.activeElement) : null;
  const scrolled = [];
  for (const fresh of made.querySelectorAll(".figure, details[id]")) {
    const old = document.getElementById(fresh.id);
    if (!old) continue;
    if (fresh.matches("details")) {
      fresh.open = old.open;
    } else {
      // A plot is moved with all that its user has zoomed into and hidden.
      old.ariaLabel = fresh.ariaLabel;
      old.style.minWidth = fresh.style.minWidth;
      scrolled.push([old, old.parentElement.scrollLeft]);
      fresh.replaceWith(old);
    }
  }
  place.replaceChildren(...made.childNodes);
  for (const [plot, left] of scrolled) plot.parentElement.scrollLeft = left;
  if (focus) document.getElementById(focus.id)?.parentElement.querySelectorAll(focus.selector)[focus.position]?.focus({ preventScroll: true });
}

/* Where an element is, for what will stand in its place. */
function way_to(found) {
  const owner = found.closest("[id]");
  return { id: owner.id, selector: found.localName, position: [...owner.parentElement.querySelectorAll(found.localName)].indexOf(found) };
}
