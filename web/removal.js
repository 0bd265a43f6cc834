// Removing a picture from the index, where the service writes. Its file stays.

import { byId } from "./dom.js";
import * as service from "./service.js";
import { idOf, titleOf } from "./tile.js";
import { tell } from "./undo.js";

const dialog = byId("removing");
let writes = null; // a promise of whether the service does
let picture = null;
let done = null;

/** Shows the button of the lightbox if the service writes. */
export async function offer() {
  try {
    writes ??= service.status().then(({ writable }) => writable);
    byId("lightbox-remove").hidden = !(await writes);
  } catch (error) {
    writes = null; // the next picture asks again
    if (!(error instanceof service.Fault)) throw error;
  }
}

/** Asks whether to remove a picture; `removed` is called once the service has done so. */
export function ask(one, removed) {
  [picture, done] = [one, removed];
  byId("removing-title").textContent = `Remove ${titleOf(picture)} from the index?`;
  dialog.showModal();
}

async function remove() {
  byId("removing-it").disabled = true;
  try {
    await service.removeDocument(idOf(picture)).catch(isGone);
    dialog.close();
    done();
  } catch (error) {
    if (!(error instanceof service.Fault)) throw error;
    dialog.close();
    tell(`Not removed: ${error.message}`);
  } finally {
    byId("removing-it").disabled = false;
  }
}

/** Lets the fault of a picture that somebody else has removed pass. */
function isGone(error) {
  if (error.status !== 404) throw error;
}

byId("removing-it").addEventListener("click", remove);
byId("removing-not").addEventListener("click", () => dialog.close());
