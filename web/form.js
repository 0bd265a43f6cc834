// The search box, and pictures to search with: chosen, dropped, pasted or by URL.

import { byId, element } from "./dom.js";
import { expect } from "./guess.js";
import { find, keep } from "./pictures.js";
import * as service from "./service.js";
import { isMixed, recent } from "./state.js";

let previewUrl = "";
let previewOf = ""; // hash, id or URL of the picture in the preview

/** Writes a state into the form. */
export function fill(state) {
  for (const field of ["words", "avoid", "where", "url"]) byId(field).value = state[field];
  expect(state.guess);
  byId("mix").value = state.mix;
  byId("mix").setAttribute("aria-valuetext", `${Math.round(100 * state.mix)} % picture`);
  byId("mixing").hidden = !isMixed(state);
  byId("recent").replaceChildren(...recent().map((words) => element("option", { value: words })));
}

/** A state with what the form says. Other words are read anew for dates and places. */
export function read(state) {
  const text = (id) => byId(id).value.trim();
  const [words, avoid, where, url] = ["words", "avoid", "where", "url"].map(text);
  const others = url && url !== state.url ? { picture: "", like: "" } : {}; // only one picture at a time: the latest
  const literal = words === state.words ? state.literal : "";
  return { ...state, words, avoid, where, url, literal, ...others, mix: Number(byId("mix").value), guess: "" };
}

/** The picture of a state if it was dropped, pasted or chosen, otherwise null. */
export async function dropped(state) {
  if (!state.picture) return null;
  const found = await find(state.picture);
  if (found) return found;
  showPreview(state, null, "Unknown picture");
  throw new service.Fault("This browser no longer has the picture of this search: drop it again.", 404);
}

/** Shows the picture that is searched with; `name` is what it is called. */
export function showPreview(state, picture, name) {
  const of = state.picture || state.like || state.url;
  byId("picture").hidden = !of;
  if (of === previewOf) return;
  previewOf = of;
  if (previewUrl) URL.revokeObjectURL(previewUrl);
  previewUrl = picture ? URL.createObjectURL(picture.blob) : "";
  const preview = byId("picture-preview");
  if (picture) preview.src = previewUrl;
  else if (state.like) service.show(preview, `/thumbnails/${encodeURIComponent(state.like)}`);
  else preview.removeAttribute("src");
  preview.hidden = Boolean(state.url && !picture); // the page policy forbids pictures of other origins
  byId("picture-name").textContent = name;
}

/** Files that the service reads, but for which systems often know no type: RAW and HEIC. */
const UNTYPED =
  /\.(3fr|arw|cr[23w]|dcr|dng|erf|fff|gpr|hei[cf]s?|hif|iiq|kdc|mef|mos|mrw|nef|nrw|orf|pef|raf|rw[2l]|sr[2fw]|x3f)$/i;

const isPicture = ({ type, name }) => type.startsWith("image/") || (type === "" && UNTYPED.test(name));

/** Listens to the form: `change(fields)` is called with what to change, `refuse(text)` with what is wrong. */
export function listen(change, refuse) {
  const take = async (file) => {
    if (!isPicture(file)) return refuse(`${file.name || "The file"} is not a picture.`);
    return change({ picture: await keep(file), like: "", url: "" });
  };
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    change({});
  });
  byId("mix").addEventListener("change", () => change({}, "replace"));
  byId("file").addEventListener("change", () => {
    const [file] = byId("file").files;
    byId("file").value = "";
    if (file) take(file);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(isPicture);
    if (!file) return; // text is pasted at the cursor
    event.preventDefault();
    take(file);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop-here").hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) byId("drop-here").hidden = true;
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop-here").hidden = true;
    const [file] = event.dataTransfer.files;
    const address = event.dataTransfer.getData("text/uri-list");
    const ours = address.match(/^(.*\/)(?:images|thumbnails)\/(\w+)$/m);
    const [url] = address.match(/^https?:.*$/m) ?? [];
    if (ours?.[1] === service.ROOT) change({ picture: "", like: ours[2], url: "" });
    else if (file) take(file);
    else if (url) change({ picture: "", like: "", url });
    else refuse("Only pictures can be dropped here.");
  });
}
