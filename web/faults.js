// What went wrong, told where it can be put right: a key that is missing, a filter that is malformed, or a service that
// does not answer.

import { openFilters } from "./panel.js";
import { Fault } from "./service.js";

const byId = (id) => document.getElementById(id);

/** Shows a fault of the service, or any other one, which is a bug. */
export function showFault(error) {
  if (!(error instanceof Fault)) console.error(error);
  const text = error.message || "Something went wrong.";
  byId("summary").textContent = "";
  if (error.status === 401 || error.status === 403) {
    byId("keys").hidden = false;
    byId("key").focus();
  }
  if (text.startsWith("where: ")) {
    openFilters(true);
    byId("options").open = true;
    byId("where-error").textContent = text.slice("where: ".length);
    byId("where").setAttribute("aria-invalid", "true");
    byId("where").focus();
    byId("summary").textContent = "The filter is invalid.";
    return;
  }
  byId("fault-text").textContent = text;
  byId("fault").hidden = false;
}

export function hideFault() {
  byId("fault").hidden = true;
  byId("where-error").textContent = "";
  byId("where").removeAttribute("aria-invalid");
}
