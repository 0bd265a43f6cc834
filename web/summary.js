// What is shown, in a sentence.

import { counted } from "./dom.js";
import { examplesIn } from "./marks.js";
import { filtersOf, isEmpty } from "./state.js";

/** `“two hearts” and your picture` */
export function titleOfSearch(state) {
  const parts = [];
  if (state.words) parts.push(`“${state.words}”`);
  if (state.picture) parts.push("your picture");
  if (state.url) parts.push(`the picture at ${state.url}`);
  if (state.like) parts.push("pictures similar to one");
  const [nLiked, nUnliked] = [state.likes, state.unlikes].map((field) => examplesIn(field).length);
  if (nLiked) parts.push(counted(nLiked, "liked picture"));
  return parts.join(" and ") + (nUnliked ? `, less like ${counted(nUnliked, "other")}` : "");
}

/** What a source shows. */
export function summaryOf(state, source) {
  if (isEmpty(state)) return counted(source.n, "picture");
  const { told, nCaptions } = source;
  const isFiltered = Object.keys(filtersOf(state)).length > 0;
  if (!source.n && !nCaptions) return isFiltered ? "Nothing here fits. The filter may be too narrow." : "Nothing here fits.";
  const parts = [];
  const many = (n, noun) => `${n.toLocaleString("en")}${source.more && n === source.n ? " or more" : ""} ${noun}`;
  const percent = `${Math.round(100 * source.threshold)}%`;
  if (told.fits === false) parts.push("Nothing here fits well. These are the nearest");
  else if (source.isListing) parts.push(many(source.n, source.n === 1 ? "picture" : "pictures"));
  else if (source.byDate) parts.push(`${source.nInOrder.toLocaleString("en")} fit, with a relevance of ${percent} or more,`);
  else if (source.hasRelevance && !source.isGuess) parts.push(many(source.fitting.length, source.fitting.length === 1 ? "fits" : "fit"));
  else parts.push(many(source.n, "best pictures"));
  if (nCaptions) parts.push(`and ${counted(nCaptions, "caption")}`);
  const avoided = told.query.exclude?.length ? `, avoiding ${told.query.exclude.join(", ")}` : "";
  const note = told.note && !source.isListing ? ` (${told.note})` : "";
  return `${parts.join(" ")} for ${titleOfSearch(state)}${avoided}${note}`;
}

/** The model and the milliseconds that a search took. */
export function tookOf({ model, took_ms: ms }) {
  const parts = [["encode", ms.encode], ["search", ms.search], ["rank", ms.rank], ["total", ms.total]];
  const spent = parts.map(([name, value]) => `${name} ${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);
  return [model, ...spent].join(" · ");
}
