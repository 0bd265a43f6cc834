// Thumbs on the pictures, and the strip of examples of the query, where each can be inverted or removed.

import { byId, counted, element, icon } from "./dom.js";
import { MOST, examplesIn, hasExamples, hashOf, marked, ofUser, signOf } from "./marks.js";
import { find, keep } from "./pictures.js";
import { show } from "./service.js";
import { isEmpty } from "./state.js";
import { idOf, titleOf } from "./tile.js";

const names = new Map(); // of the pictures that were marked here, by example

const isFull = (state) => examplesIn(state.likes).length + examplesIn(state.unlikes).length >= MOST;

/** The state and a sentence about it, after a thumb of a picture was pressed: the same thumb again takes it back. */
export function pressed(state, picture, sign) {
  const id = idOf(picture);
  const now = signOf(state, id) === sign ? 0 : sign;
  if (now && !signOf(state, id) && isFull(state)) return { state, text: `A search has at most ${MOST} examples: remove one first.` };
  names.set(id, titleOf(picture));
  const text = now ? `${now > 0 ? "More" : "Less"} like ${names.get(id)}.` : `${names.get(id)} is no longer an example.`;
  return { state: marked(state, [id], now), text };
}

/** A tile with two thumbs, of which one is pressed if its picture is an example. */
export function withThumbs(tile, picture, state) {
  if (!picture.id) return tile;
  const sign = signOf(state, picture.id);
  for (const [name, text, own] of [["like", "More", 1], ["unlike", "Less", -1]]) {
    const button = element("button", { type: "button", className: `thumb ${name}` });
    button.setAttribute("aria-label", `${text} like ${titleOf(picture)}`);
    button.setAttribute("aria-pressed", String(sign === own));
    button.dataset.sign = own;
    tile.append(button);
  }
  tile.classList.toggle("liked", sign > 0);
  return tile;
}

/** Shows the examples of a state in the strip. */
export function showExamples(state) {
  byId("marked").hidden = !hasExamples(state);
  document.body.classList.toggle("marking", hasExamples(state));
  const items = [["likes", 1], ["unlikes", -1]].flatMap(([field, sign]) => examplesIn(state[field]).map((one) => itemOf(one, sign)));
  byId("marked-list").replaceChildren(...items);
  byId("marked-hint").hidden = !(isEmpty(state) && hasExamples(state));
}

function itemOf(example, sign) {
  const img = element("img", { alt: "", width: 56, height: 56, draggable: false });
  const turn = element("button", { type: "button", className: "turn" }, img, icon(sign > 0 ? "like" : "unlike"));
  const remove = element("button", { type: "button", className: "remove" }, icon("close"));
  const item = element("li", { className: sign > 0 ? "liked" : "unliked" }, turn, remove);
  Object.assign(item.dataset, { example, sign });
  const name = (text) => {
    turn.setAttribute("aria-label", `${sign > 0 ? "More" : "Less"} like ${text}. Press for ${sign > 0 ? "less" : "more"}`);
    remove.setAttribute("aria-label", `Remove the example ${text}`);
  };
  name(names.get(example) ?? (hashOf(example) ? "your picture" : `picture ${example.slice(0, 12)}`));
  turn.title = sign > 0 ? "More like this. Press for less" : "Less like this. Press for more";
  if (hashOf(example)) drawKept(img, hashOf(example), name);
  else show(img, `/thumbnails/${encodeURIComponent(example)}`);
  return item;
}

async function drawKept(img, hash, name) {
  const picture = await find(hash);
  if (!picture) return;
  name(picture.name);
  const url = URL.createObjectURL(picture.blob);
  img.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
  img.src = url;
}

/** Keeps pictures of the user; returns the state in which they are liked. */
export async function added(state, files) {
  const hashes = [];
  for (const file of files) hashes.push(await keep(file));
  return marked(state, ofUser(hashes), 1);
}

/** Listens to the strip: `change(marked, text)` is called with a function from state to state, and what it does. */
export function listen(change, take) {
  byId("marked-list").addEventListener("click", (event) => {
    const item = event.target.closest("li");
    const button = event.target.closest("button");
    if (!item || !button) return;
    const { example, sign } = item.dataset;
    if (button.matches(".turn")) change((state) => marked(state, [example], -sign), sign > 0 ? "Less like it." : "More like it.");
    else change((state) => marked(state, [example], 0), "Example removed.");
  });
  byId("marked-clear").addEventListener("click", () => {
    const n = byId("marked-list").childElementCount;
    change((state) => ({ ...state, likes: "", unlikes: "" }), `${counted(n, "example")} removed.`);
  });
  byId("marked-file").addEventListener("change", () => {
    const files = [...byId("marked-file").files];
    byId("marked-file").value = "";
    if (files.length) take(files);
  });
}
