// What went wrong, told where it can be put right: a key that is missing, a filter that is malformed, or a service that
// does not answer.

import * as alert from "./alert.js";
import { byId } from "./dom.js";
import { openFilters } from "./panel.js";

/** Shows a fault of the service, or any other one, which is a bug. */
export function showFault(error) {
  byId("summary").textContent = "";
  if (!error.message?.startsWith("where: ")) return alert.showFault(error);
  openFilters(true);
  byId("options").open = true;
  byId("where-error").textContent = error.message.slice("where: ".length);
  byId("where").setAttribute("aria-invalid", "true");
  byId("where").focus();
  byId("summary").textContent = "The filter is invalid.";
}

export function hideFault() {
  byId("fault").hidden = true;
  byId("where-error").textContent = "";
  byId("where").removeAttribute("aria-invalid");
}
