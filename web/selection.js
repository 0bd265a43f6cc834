// Selected pictures, and what can be done with them: copy their links, download them or a list of them.

import { counted, element } from "./dom.js";
import * as service from "./service.js";
import { titleOf } from "./tile.js";
import { offerUndo, tell } from "./undo.js";

const byId = (id) => document.getElementById(id);
let selected = new Map(); // pictures by id
let isOn = false;
let last = -1; // place of the latest one, where a range begins

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
  [isOn, last] = [on, -1];
  draw();
}

function draw() {
  document.body.classList.toggle("selecting", isOn);
  byId("select").setAttribute("aria-pressed", String(isOn));
  byId("selected").hidden = !isOn;
  byId("selected-count").textContent = selected.size ? `${selected.size.toLocaleString("en")} selected` : "Select pictures";
  for (const id of ["copy-links", "download", "download-list"]) byId(id).disabled = selected.size === 0;
  for (const tile of document.querySelectorAll("#grid .tile")) {
    const isIn = selected.has(tile.dataset.id);
    tile.classList.toggle("selected", isIn);
    tile.querySelector(".select")?.setAttribute("aria-pressed", String(isIn));
  }
}

const linkOf = ({ id }) => new URL(`/images/${encodeURIComponent(id)}`, location.href).href;

async function copyLinks() {
  const links = [...selected.values()].map(linkOf).join("\n");
  try {
    await navigator.clipboard.writeText(links);
    tell(`${counted(selected.size, "link")} copied.`);
  } catch {
    tell("The browser does not allow copying here: download the list instead.");
  }
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function download() {
  const failed = [];
  for (const picture of selected.values()) {
    try {
      save(await service.bytes(`/images/${encodeURIComponent(picture.id)}`), titleOf(picture));
    } catch {
      failed.push(titleOf(picture));
    }
  }
  tell(failed.length ? `Not downloaded: ${failed.join(", ")}` : `${counted(selected.size, "picture")} downloaded.`);
}

function downloadList() {
  const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
  const lines = [...selected.values()].map((picture) => [picture.id, titleOf(picture), linkOf(picture)].map(quoted).join(","));
  save(new Blob([`id,filename,link\n${lines.join("\n")}\n`], { type: "text/csv" }), "pictures.csv");
}

byId("select").addEventListener("click", () => begin());
byId("select-done").addEventListener("click", () => begin(false));
byId("copy-links").addEventListener("click", copyLinks);
byId("download").addEventListener("click", download);
byId("download-list").addEventListener("click", downloadList);
