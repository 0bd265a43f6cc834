// The list of captions that a search has found.

import { byId, element } from "./dom.js";
import { show } from "./service.js";
import { markOf, scoreOf } from "./tile.js";

const N_CAPTIONS = 12;
const list = byId("captions");
const part = byId("caption-part");

/** Shows the captions among the results, and returns how many there are; `open` is called with the chosen one. */
export function showCaptions(results, threshold, open) {
  const captions = results.filter((result) => result.modality === "text").slice(0, N_CAPTIONS);
  list.replaceChildren(...captions.map((caption) => lineOf(caption, threshold, open)));
  part.hidden = captions.length === 0;
  part.classList.remove("all");
  const fits = captions.some(({ relevance }) => relevance === undefined || relevance >= threshold);
  byId("caption-title").textContent = fits ? "Matching captions" : "Nearest captions";
  byId("results").classList.toggle("both", captions.length > 0);
  return captions.length;
}

byId("all-found").addEventListener("click", () => {
  part.classList.add("all");
  list.querySelector("li:nth-child(4) button")?.focus(); // the first of those that were hidden
});

function lineOf(caption, threshold, open) {
  const img = element("img", { loading: "lazy", alt: "", width: 44, height: 44 });
  if (caption.thumbnail) show(img, caption.thumbnail);
  const button = element("button", { type: "button" }, img, element("span", {}, caption.text));
  if (caption.relevance !== undefined) button.append(markOf(caption, threshold));
  button.append(element("span", { className: "score", title: "score" }, scoreOf(caption)));
  button.addEventListener("click", () => open(caption));
  return element("li", {}, button);
}
