// Selected pictures, and what can be done with them: copy their links, or save them (downloads.js).

import { MOST } from "./all.js";
import { byId, counted } from "./dom.js";
import * as downloads from "./downloads.js";
import { linkOf } from "./service.js";
import { offerUndo, tell } from "./undo.js";

let selected = new Map(); // pictures by id
let isOn = false;
let last = -1; // place of the latest one, where a range begins
let offered = null; // see `listen`
let finding = null; // AbortController of the search for all that fits

export const isSelected = (picture) => selected.has(picture.id);
export const isSelecting = () => isOn;

/** Selects the picture at a place of a source or takes it out; with `isRange`, all from the latest one to it. */
export function toggle(source, place, isRange = false) {
  const isAdded = !selected.has(source.at(place).id);
  const from = isRange && last >= 0 ? Math.min(last, place) : place;
  const to = isRange && last >= 0 ? Math.max(last, place) : place;
  for (let n = from; n <= to; n++) {
    const picture = source.at(n);
    if (!picture?.id) continue; // not loaded, so never seen, or removed
    if (isAdded) selected.set(picture.id, picture);
    else selected.delete(picture.id);
  }
  last = place;
  isOn = isOn || isAdded;
  draw();
}

export function begin(on = !isOn) {
  if (!on && selected.size) {
    const before = selected;
    offerUndo("Selection cleared.", () => {
      [selected, isOn] = [before, true];
      draw();
    });
  }
  if (!on) selected = new Map();
  finding?.abort();
  [isOn, last] = [on, -1];
  draw();
}

function draw() {
  document.body.classList.toggle("selecting", isOn);
  byId("select").setAttribute("aria-pressed", String(isOn));
  byId("selected").hidden = !isOn;
  say(selected.size ? `${selected.size.toLocaleString("en")} selected` : "Select pictures");
  for (const id of ["copy-links", "download", "download-list", "save-as"]) byId(id).disabled = selected.size === 0;
  for (const tile of document.querySelectorAll("#grid .tile")) {
    const isIn = selected.has(tile.dataset.id);
    tile.classList.toggle("selected", isIn);
    tile.querySelector(".select")?.setAttribute("aria-pressed", String(isIn));
  }
}

const say = (text) => (byId("selected-count").textContent = text);

async function copyLinks() {
  const links = [...selected.values()].map(linkOf).join("\n");
  try {
    await navigator.clipboard.writeText(links);
    tell(`${counted(selected.size, "link")} copied.`);
  } catch {
    tell("The browser does not allow copying here: download the list instead.");
  }
}

/** Selects all pictures that fit. */
async function selectAll() {
  const { signal } = (finding = new AbortController());
  byId("select-all").disabled = true;
  try {
    const all = await offered.all((n) => say(`${n.toLocaleString("en")} found…`), signal);
    if (signal.aborted) return;
    selected = new Map(all.filter(({ id }) => id).map((picture) => [picture.id, picture]));
    if (all.length >= MOST) tell(`The first ${MOST.toLocaleString("en")} are selected: more can't be saved at once.`);
  } catch (error) {
    if (!signal.aborted) tell(`Not selected: ${error.message}`);
  } finally {
    byId("select-all").disabled = false;
    draw();
  }
}

const chosen = () => ({ pictures: [...selected.values()], title: offered.title() });

/** `all(progress, signal)` finds all pictures that fit, `title()` says what is searched for. */
export function listen(given) {
  offered = given;
}

downloads.listen((text) => (text ? say(text) : draw()));
byId("select").addEventListener("click", () => begin());
byId("select-done").addEventListener("click", () => begin(false));
byId("copy-links").addEventListener("click", copyLinks);
byId("select-all").addEventListener("click", selectAll);
byId("download").addEventListener("click", () => downloads.save("zip", chosen()));
byId("download-list").addEventListener("click", () => downloads.save("csv", chosen()));
byId("save-as").addEventListener("click", () => downloads.ask(chosen()));
