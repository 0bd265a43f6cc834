// All pictures that fit what the page shows, as many as can be saved at once.

import * as service from "./service.js";
import { filtersOf, isEmpty } from "./state.js";

export const MOST = 10_000;
const PAGE = 1_000; // pictures of a request

/**
 * The pictures of a state: all that the filters leave, or of a search those that fit. Where results have no relevance,
 * nothing says which of them fit, so it is those that the page has loaded.
 *
 * `picture` is the one that is searched with; `progress` is called with the number found so far.
 */
export async function allOf(state, source, picture, progress, signal) {
  if (!isEmpty(state) && !source.hasRelevance && !source.byDate) return source.pictures.slice(0, MOST);
  const found = [];
  for (let offset = 0; offset < MOST; offset += PAGE) {
    const { pictures, more } = await (isEmpty(state)
      ? browsed(state, source, offset, signal)
      : searched(state, source, picture, offset, signal));
    found.push(...pictures);
    progress(found.length);
    if (!more) break;
  }
  return found;
}

async function browsed(state, source, offset, signal) {
  const query = { ...filtersOf(state), order: source.order, offset, limit: PAGE };
  const { n, pictures } = await service.browse(query, signal);
  return { pictures, more: offset + PAGE < n };
}

async function searched(state, source, picture, offset, signal) {
  const page = { top_k: PAGE, offset, target: "image" };
  if (!source.byDate) page.min_relevance = source.threshold; // by date, the service returns only what fits
  const { results, more } = await service.search(state, picture, page, signal);
  return { pictures: results, more };
}
