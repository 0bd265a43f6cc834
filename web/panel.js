// The panel of filters, which is filled while it is open.

import { showFacets } from "./facets.js";
import * as service from "./service.js";
import { filtersOf } from "./state.js";

const byId = (id) => document.getElementById(id);

export function openFilters(isOpen) {
  byId("filters").hidden = !isOpen;
  byId("to-filters").setAttribute("aria-expanded", String(isOpen));
}

/** Fills the panel once `ready` is resolved; `choose` is called with the fields of a chosen filter. */
export async function showFilters(state, ready, signal, choose) {
  if (byId("filters").hidden) return;
  await ready;
  if (signal.aborted) return;
  try {
    const filters = filtersOf(state);
    const [{ facets }, { sections }] = await Promise.all([
      service.facets(filters, signal),
      service.sections({ ...filters, order: "folder" }, signal),
    ]);
    showFacets(facets, sections, state, choose);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
