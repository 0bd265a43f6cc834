// Guessing game: random captions, each a search that may find the picture it belongs to.

import { byId, element } from "./dom.js";
import * as service from "./service.js";

export const N_SHOWN = 9;
const N_CAPTIONS = 4;
const N_LOOKED_THROUGH = 1000;

/** Draws captions; `pick` is called with the chosen one. The game is hidden if the collection has no captions. */
export async function draw(pick) {
  const { captions } = await service.randomCaptions(N_CAPTIONS);
  const buttons = captions.map((caption) => {
    const button = element("button", { type: "button" }, caption.text);
    button.addEventListener("click", () => {
      byId("guess").close();
      pick(caption);
    });
    return element("li", {}, button);
  });
  byId("guesses").replaceChildren(...buttons);
  byId("to-guess").hidden = buttons.length === 0;
}

/** Shows the expected picture with a text. */
export function expect(id, text = "") {
  byId("expected").hidden = !id;
  byId("expected-text").textContent = text;
  const picture = byId("expected-picture");
  if (id && picture.dataset.of !== id) service.show(picture, `/thumbnails/${encodeURIComponent(id)}`);
  picture.dataset.of = id;
}

/** Tells the rank of the expected picture. */
export async function tellRank(state, found, isMore, signal) {
  const rank = await rankOf(state, found.pictures, isMore, signal);
  if (!signal.aborted) expect(state.guess, sayRank(rank));
}

/** The rank of a picture among the shown and following results, 0 if it is not found. */
async function rankOf(state, shown, isMore, signal) {
  const id = state.guess;
  const place = shown.findIndex((result) => result.id === id);
  if (place >= 0 || !isMore) return place + 1;
  const page = { top_k: N_LOOKED_THROUGH, offset: shown.length, target: "image" };
  const told = await service.search(state, null, page, signal);
  const further = told.results.findIndex((result) => result.id === id);
  return further < 0 ? 0 : shown.length + further + 1;
}

const sayRank = (rank) =>
  rank === 1
    ? "The picture of this caption came first."
    : rank
      ? `The picture of this caption came at rank ${rank.toLocaleString()}.`
      : "The picture of this caption is not among the first 1,000.";

byId("to-guess").addEventListener("click", () => byId("guess").showModal());
byId("guess-close").addEventListener("click", () => byId("guess").close());
