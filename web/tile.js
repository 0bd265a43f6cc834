// One picture of the grid, and how well it fits. Captions and file names are text, never markup.

import { dateOf } from "./dates.js";
import { element } from "./dom.js";
import { show } from "./service.js";
import { watch } from "./unloaded.js";

export const titleOf = (picture) => picture.filename || picture.id.slice(0, 12);
/** The id of a picture; a result that is a caption names its picture. */
export const idOf = (result) => result.image_id || result.id;
export const scoreOf = (result) => result.score.toFixed(3);
export const thumbnailOf = (picture) => picture.thumbnail ?? `/thumbnails/${encodeURIComponent(picture.id)}`;

/** How well a result fits, in words. */
export function fitOf(relevance, threshold) {
  if (relevance >= (1 + threshold) / 2) return "Fits well";
  if (relevance >= threshold) return "Fits";
  return relevance >= threshold / 2 ? "May fit" : "Unlikely";
}

/** A tile; `threshold` is the relevance from which a result fits, and `isExpected` whether a guess is about it. */
export function tileOf(picture, threshold, isSelected, isExpected) {
  if (!picture.id) return element("li", { className: "tile" }); // has been removed
  const img = element("img", { decoding: "async", alt: "", draggable: true });
  watch(img);
  show(img, thumbnailOf(picture));
  const open = element("button", { type: "button", className: "open" }, img);
  open.setAttribute("aria-label", labelOf(picture, threshold));
  const select = element("button", { type: "button", className: "select" });
  select.setAttribute("aria-label", `Select ${titleOf(picture)}`);
  select.setAttribute("aria-pressed", String(isSelected));
  const similar = element("button", { type: "button", className: "similar" }, "Similar");
  similar.setAttribute("aria-label", `Find similar to ${titleOf(picture)}`);
  const tile = element("li", { className: "tile" }, open, select, similar);
  tile.classList.toggle("selected", isSelected);
  tile.dataset.id = picture.id;
  if (isExpected) {
    tile.classList.add("expected");
    open.after(element("strong", { className: "flag" }, "expected"));
    open.setAttribute("aria-label", `The expected picture: ${open.getAttribute("aria-label")}`);
  }
  if (picture.score !== undefined) tile.append(belowOf(picture, threshold));
  return tile;
}

function labelOf(picture, threshold) {
  const parts = [titleOf(picture)];
  if (picture.relevance !== undefined) parts.push(fitOf(picture.relevance, threshold).toLowerCase());
  const taken = picture.taken ?? picture.tags?.taken;
  if (taken) parts.push(dateOf(String(taken)));
  const caption = picture.captions?.[0];
  return caption ? `${parts.join(", ")}. ${caption}` : parts.join(", ");
}

function belowOf(result, threshold) {
  const below = element("div", { className: "below" });
  if (result.relevance !== undefined) below.append(markOf(result, threshold));
  if (result.why?.length) below.append(wordList(result.why));
  below.append(element("span", { className: "score", title: "score" }, scoreOf(result)));
  return below;
}

/** The relevance of a result as a word and a bar with its threshold. */
export function markOf(result, threshold) {
  const percent = (value) => `${Math.round(100 * value)}%`;
  const gauge = element("span", { className: "gauge", title: `relevance ${percent(result.relevance)}, threshold ${percent(threshold)}` });
  gauge.style.setProperty("--relevance", percent(result.relevance));
  gauge.style.setProperty("--threshold", percent(threshold));
  gauge.classList.toggle("fits", result.relevance >= threshold);
  return element("span", { className: "mark" }, gauge, element("span", {}, fitOf(result.relevance, threshold)));
}

/** The words a result was found by. */
function wordList(words) {
  const list = element("ul", { className: "words" }, ...words.map(wordOf));
  list.setAttribute("aria-label", "Found by these words");
  return list;
}

/** A word with its weight. */
export function wordOf({ word, weight }) {
  const title = word.startsWith('"') ? "text in the picture" : `weight ${weight.toFixed(2)}`;
  return element("li", { title }, word);
}
