// The grid of pictures and the list of captions. Captions and file names are text, never markup.

import { element } from "./dom.js";
import { show } from "./service.js";

const grid = document.getElementById("grid");
const captions = document.getElementById("captions");

export const titleOf = (result) => result.filename || result.id.slice(0, 12);
export const scoreOf = (result) => result.score.toFixed(3);

function mark(result) {
  const score = element("span", { className: "score", title: "cosine with the query" }, scoreOf(result));
  if (result.relevance === undefined) return score;
  const meter = element("meter", { min: 0, max: 1, value: result.relevance });
  meter.setAttribute("aria-label", `relevance ${Math.round(100 * result.relevance)} %`);
  return element("span", {}, score, " ", meter);
}

function tile(result, place, actions) {
  const caption = result.captions[0] || "";
  const img = element("img", { loading: "lazy", decoding: "async", alt: "", width: 256, height: 256 });
  const open = element("button", { type: "button", className: "open" }, img);
  open.setAttribute("aria-label", `${titleOf(result)}, score ${scoreOf(result)}. ${caption}`);
  open.dataset.id = result.id;
  open.addEventListener("click", () => actions.open(place));
  const similar = element("button", { type: "button", className: "similar" }, "Similar");
  similar.setAttribute("aria-label", `Find similar to ${titleOf(result)}`);
  similar.addEventListener("click", () => actions.similar(result));
  show(img, result.thumbnail);
  const why = wordList(result.why);
  const below = element("div", { className: "below" }, mark(result), similar);
  return element("li", { className: "tile" }, open, element("p", {}, caption || titleOf(result)), ...why, below);
}

/** The words a result was found by, if the service returned them. */
function wordList(words) {
  if (!words?.length) return [];
  const list = element("ul", { className: "words" }, ...words.map(wordOf));
  list.setAttribute("aria-label", "Found by these words");
  return [list];
}

/** A word with its weight. */
export function wordOf({ word, weight }) {
  return element("li", { title: `weight ${weight.toFixed(2)}` }, word);
}

/** Marks the expected picture in the grid, if it is there. */
export function markExpected(id) {
  const open = [...grid.querySelectorAll(".open")].find((one) => one.dataset.id === id);
  if (!open) return;
  open.closest(".tile").classList.add("expected");
  open.after(element("strong", { className: "mark" }, "expected"));
  open.setAttribute("aria-label", `The expected picture: ${open.getAttribute("aria-label")}`);
}

function line(result, actions) {
  const img = element("img", { loading: "lazy", alt: "", width: 44, height: 44 });
  if (result.thumbnail) show(img, result.thumbnail);
  const open = element("button", { type: "button" }, img, element("span", {}, result.text), mark(result));
  open.addEventListener("click", () => actions.openCaption(result));
  return element("li", {}, open);
}

export function clear() {
  grid.replaceChildren();
  captions.replaceChildren();
}

/** Appends pictures; `first` is the position of the first of them. */
export function addPictures(results, first, actions) {
  grid.append(...results.map((result, n) => tile(result, first + n, actions)));
}

export function addCaptions(results, actions) {
  captions.append(...results.map((result) => line(result, actions)));
}

/** Focuses the picture at a position. */
export function focusOn(place) {
  grid.children[place]?.querySelector(".open").focus();
}

/** Arrow keys move between pictures, S finds similar ones. */
grid.addEventListener("keydown", (event) => {
  const tiles = [...grid.children];
  const here = tiles.indexOf(event.target.closest(".tile"));
  if (here < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "s" || event.key === "S") {
    event.preventDefault();
    tiles[here].querySelector(".similar").click();
    return;
  }
  const top = tiles[0].offsetTop;
  const wrapped = tiles.findIndex((other) => other.offsetTop > top);
  const columns = wrapped < 0 ? tiles.length : wrapped;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  const to =
    event.key === "Home" ? 0 : event.key === "End" ? tiles.length - 1 : here + (steps[event.key] ?? Number.NaN);
  if (!(to >= 0 && to < tiles.length)) return;
  event.preventDefault();
  focusOn(to);
});
