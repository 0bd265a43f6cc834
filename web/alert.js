// What every page has for faults: their text, and the form for a key.

import { byId } from "./dom.js";
import * as service from "./service.js";

/** Shows a fault of the service, or any other one, which is a bug; asks for a key where one is missing or wrong. */
export function showFault(error) {
  if (!(error instanceof service.Fault)) console.error(error);
  if (error.status === 401 || error.status === 403) {
    byId("keys").hidden = false;
    byId("key").focus();
  }
  byId("fault-text").textContent = error.message || "Something went wrong.";
  byId("fault").hidden = false;
}

/** Calls `begin` when the user has given a key; asks for one wherever the service refuses it, also in a dialog. */
export function listenForKey(begin) {
  addEventListener(service.UNKNOWN_KEY, () => {
    const ask = () => byId("key").focus();
    byId("keys").hidden = false;
    for (const dialog of document.querySelectorAll("dialog[open]")) {
      dialog.addEventListener("close", ask, { once: true }); // after what else gives the focus away then
      dialog.close();
    }
    ask();
  });
  byId("keys").addEventListener("submit", (event) => {
    event.preventDefault();
    service.useKey(byId("key").value.trim());
    byId("keys").hidden = true;
    begin();
  });
}
