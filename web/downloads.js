// Saves pictures as one file: the pictures themselves, a list, a contact sheet, or sidecars with keywords.

import { byId, counted, save as keep } from "./dom.js";
import * as service from "./service.js";
import { idOf, titleOf } from "./tile.js";
import { tell } from "./undo.js";

const MISSING = "missing.txt"; // of an archive: what is not in it

let saving = null; // AbortController of what is being saved
let told = () => {}; // shows the progress
let wanted = null; // of the dialog: () => {pictures, title}

/** `shows` is called with the progress as text, and with "" at the end. */
export function listen(shows) {
  told = shows;
}

/** Asks how pictures are to be saved. */
export function ask(given) {
  wanted = given;
  byId("saving-title").textContent = `Save ${counted(given.pictures.length, "picture")}`;
  offerSidecars();
  byId("saving").showModal();
}

/** Saves pictures in a format of POST /download; one picture alone is saved as it is. */
export async function save(format, { pictures, title }, options = {}) {
  if (!pictures.length) return;
  const mine = begin();
  try {
    if (format === "zip" && pictures.length === 1) return await saveOne(pictures[0], mine.signal);
    const ids = pictures.map(idOf);
    const answer = await service.download({ ids, format, title: title || "Pictures", ...options }, told, mine.signal);
    keep(answer.blob, answer.name);
    const isIncomplete = answer.type === "application/zip" && (await tailOf(answer.blob)).includes(MISSING);
    tell(isIncomplete ? `${answer.name} is not complete: ${MISSING} in it says which originals are gone.` : `${answer.name} saved.`);
  } catch (error) {
    if (!mine.signal.aborted) tell(`Not saved: ${error.message}`);
  } finally {
    if (saving === mine) end();
  }
}

function begin() {
  saving?.abort();
  saving = new AbortController();
  byId("saving-stop").hidden = false;
  told("Preparing…");
  return saving;
}

function end() {
  saving = null;
  byId("saving-stop").hidden = true;
  told("");
}

async function saveOne(picture, signal) {
  const id = encodeURIComponent(idOf(picture));
  try {
    keep(await service.bytes(`/images/${id}`, signal), titleOf(picture));
    tell(`${titleOf(picture)} saved.`);
  } catch (error) {
    if (!(error instanceof service.Fault) || error.status !== 410) throw new Error(`${titleOf(picture)}: ${error.message}`);
    keep(await service.bytes(`/thumbnails/${id}`, signal), `${titleOf(picture)}.thumbnail.jpg`);
    tell(`The original of ${titleOf(picture)} is gone: its thumbnail was saved.`);
  }
}

/** The end of an archive as text, which has the names of its last files. */
const tailOf = (blob) => blob.slice(-66_000).text();

function offerSidecars() {
  byId("sidecar-options").hidden = chosenFormat() !== "xmp";
}

const chosenFormat = () => new FormData(byId("saving-form")).get("format");

byId("saving-form").addEventListener("change", offerSidecars);
byId("saving-form").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("saving").close();
  const words = byId("keywords").value.split(",").map((word) => word.trim());
  const sidecars = { keywords: words.filter(Boolean), captions: byId("with-captions").checked };
  save(chosenFormat(), wanted, chosenFormat() === "xmp" ? sidecars : {});
});
byId("saving-close").addEventListener("click", () => byId("saving").close());
byId("saving-stop").addEventListener("click", () => {
  saving?.abort();
  end();
  tell("Not saved: it was stopped.");
});
