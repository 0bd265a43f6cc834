// Says what has just happened, and offers to undo it.

import { byId } from "./dom.js";

const SHOWN_MS = 8000;
const told = byId("undo");
const home = told.parentElement;
const button = byId("undo-it");
let back = null;
let from = null; // what had the focus before the button
let hiding;

/** Shows a text for a few seconds; `undo` takes back what it tells of. */
export function offerUndo(text, undo) {
  byId("undo-text").textContent = text;
  button.hidden = !undo;
  back = undo;
  move();
  told.hidden = false;
  stay();
}

/** Shows a text for a few seconds. */
export const tell = (text) => offerUndo(text, null);

function stay() {
  clearTimeout(hiding);
  hiding = setTimeout(() => (told.hidden = true), SHOWN_MS);
}

button.addEventListener("click", () => {
  told.hidden = true;
  from?.focus();
  back?.();
});
told.addEventListener("focusin", ({ relatedTarget }) => {
  from = relatedTarget;
  clearTimeout(hiding); // whoever has come here with the keyboard has time
});
told.addEventListener("focusout", stay);
document.addEventListener("close", move, { capture: true }); // of a dialog

/** Moves it into the open dialog, since nothing outside of that can be reached. */
function move() {
  const to = document.querySelector("dialog[open]") ?? home;
  if (told.parentElement !== to) to.append(told);
}
