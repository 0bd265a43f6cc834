// Says what has just happened, and offers to undo it.

const SHOWN_MS = 8000;
const told = document.getElementById("undo");
const button = document.getElementById("undo-it");
let back = null;
let hiding;

/** Shows a text for a few seconds; `undo` takes back what it tells of. */
export function offerUndo(text, undo) {
  document.getElementById("undo-text").textContent = text;
  button.hidden = !undo;
  back = undo;
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
  back?.();
});
told.addEventListener("focusin", () => clearTimeout(hiding)); // whoever has come here with the keyboard has time
told.addEventListener("focusout", stay);
