// The panel of filters, which is filled while it is open.

import { byId } from "./dom.js";
import { showFacets } from "./facets.js";
import * as service from "./service.js";
import { filtersOf } from "./state.js";

const PATIENCE_MS = 300;
let isChosen = false; // by the user, or to show a fault
let filling = null; // a promise of `begin`
let filled = null; // the state for which `begin` has filled the panel, until its pictures are shown

/** Opens or closes the panel; one that nobody has asked for is closed if there is nothing to choose from. */
export function openFilters(isOpen, isAsked = true) {
  isChosen = isAsked;
  byId("filters").hidden = !isOpen;
  byId("to-filters").setAttribute("aria-expanded", String(isOpen));
}

/**
 * Fills the panel for the first pictures, before these are shown: they would move aside if the panel closed later. Resolves
 * once it is filled or closed, or after a while; `showFilters` asks again after a fault.
 */
export function begin(state, signal, choose) {
  if (byId("filters").hidden || isChosen) return;
  filling ??= fill(state, signal, choose).then(
    () => (filled = state),
    () => (filling = null),
  );
  return Promise.race([filling, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
}

/** Fills the panel once what `ready` returns is resolved; `choose` is called with the fields of a chosen filter. */
export async function showFilters(state, ready, signal, choose) {
  await filling;
  const isFilled = filled === state;
  filled = null;
  if (isFilled || byId("filters").hidden) return;
  await ready();
  if (signal.aborted) return;
  try {
    await fill(state, signal, choose);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

async function fill(state, signal, choose) {
  const filters = filtersOf(state);
  const [{ facets }, { sections }] = await Promise.all([
    service.facets(filters, signal),
    service.sections({ ...filters, order: "folder" }, signal),
  ]);
  const hasFacets = showFacets(facets, sections, state, choose);
  if (!hasFacets && !isChosen) openFilters(false, false);
}
