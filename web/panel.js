// The panel of filters, which is filled while it is open.

import { byId } from "./dom.js";
import { showFacets } from "./facets.js";
import * as service from "./service.js";
import { filtersOf } from "./state.js";

let isChosen = false; // by the user, or to show a fault

/** Opens or closes the panel; one that nobody has asked for is closed if there is nothing to choose from. */
export function openFilters(isOpen, isAsked = true) {
  isChosen = isAsked;
  byId("filters").hidden = !isOpen;
  byId("to-filters").setAttribute("aria-expanded", String(isOpen));
}

/** Fills the panel once what `ready` returns is resolved; `choose` is called with the fields of a chosen filter. */
export async function showFilters(state, ready, signal, choose) {
  if (byId("filters").hidden) return;
  await ready();
  if (signal.aborted) return;
  try {
    const filters = filtersOf(state);
    const [{ facets }, { sections }] = await Promise.all([
      service.facets(filters, signal),
      service.sections({ ...filters, order: "folder" }, signal),
    ]);
    const hasFacets = showFacets(facets, sections, state, choose);
    if (!hasFacets && !isChosen) openFilters(false, false);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
