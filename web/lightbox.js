// Shows one picture in full size with its details.

import { byId, element } from "./dom.js";
import { save } from "./downloads.js";
import { signOf } from "./marks.js";
import { drawReading } from "./reading.js";
import * as removal from "./removal.js";
import { addressOf, Fault, document as documentOf, show } from "./service.js";
import { idOf, scoreOf, thumbnailOf, titleOf, wordOf } from "./tile.js";
import { tell } from "./undo.js";

const SWIPE = 50; // px
const THUMBS = [["lightbox-like", 1], ["lightbox-unlike", -1]];
const dialog = byId("lightbox");
let shown = null; // the source of the pictures, see grid.js
let place = 0;
let actions = {};

/** Opens the lightbox at a place of a source. */
export function openAt(source, at, given) {
  [shown, place, actions] = [source, at, given];
  draw();
  if (!dialog.open) dialog.showModal();
}

/** A source of a single result. */
export const only = (result) => ({ n: 1, at: () => result, need: () => {} });

export const close = () => dialog.open && dialog.close();
export const isOpen = () => dialog.open;

/** Shows on the thumbs whether the picture is an example. */
export function showMarks() {
  const result = shown?.at(place);
  if (!result) return;
  for (const [id, sign] of THUMBS) byId(id).setAttribute("aria-pressed", String(signOf(actions.state(), idOf(result)) === sign));
}

function draw() {
  const result = shown.at(place);
  const large = byId("large");
  const path = result.image ?? `/images/${encodeURIComponent(result.id)}`;
  byId("lightbox-title").textContent = titleOf(result);
  byId("undrawn").hidden = true;
  drawPreview(result);
  large.removeAttribute("src"); // otherwise the picture before stays until this one has come
  show(large, path);
  byId("original").href = byId("lightbox-download").href = addressOf(path);
  byId("lightbox-download").download = titleOf(result);
  byId("previous").disabled = place === 0;
  byId("next").disabled = place + 1 >= shown.n;
  byId("strongest").hidden = true;
  showMarks();
  drawReading(null);
  drawTexts(result, result.captions ?? [], result.tags ?? {});
  complete(result);
  removal.offer();
}

/** Shows the thumbnail in the shape and size of the picture, until that has come. */
function drawPreview(result) {
  const { width, height } = result;
  const sizes = width && height ? { "--width": `${width}px`, "--ratio": width / height } : { "--width": "", "--ratio": "" };
  for (const [name, value] of Object.entries(sizes)) byId("large").parentElement.style.setProperty(name, value);
  byId("preview").hidden = false;
  show(byId("preview"), thumbnailOf(result));
}

/** Shows the thumbnail instead of a picture that the browser can't draw, such as a RAW or HEIC file. */
function drawThumbnail() {
  const path = thumbnailOf(shown.at(place));
  if (byId("large").dataset.path === path) return;
  byId("undrawn").hidden = false;
  show(byId("large"), path);
}

function drawTexts(result, captions, tags) {
  byId("large").alt = captions[0] || titleOf(result);
  byId("caption-heading").hidden = captions.length === 0;
  byId("all-captions").replaceChildren(...captions.map((text) => element("li", {}, text)));
  byId("facts").replaceChildren(...facts(result, tags));
}

/** Shows what the service knows besides: captions and tags of a picture that was browsed to, and its strongest words. */
async function complete(result) {
  try {
    const { words, captions, tags, reading } = await documentOf(idOf(result));
    if (!dialog.open || shown.at(place) !== result) return;
    if (!result.tags) drawTexts(result, captions.map(({ text }) => text), tags);
    byId("words-of-it").replaceChildren(...(words ?? []).map(wordOf));
    byId("strongest").hidden = !words?.length;
    drawReading(reading, result.why);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    if (dialog.open && shown.at(place) === result) tell(error.status === 404 ? "This picture was removed from the index." : error.message);
  }
}

function facts(result, tags) {
  const rows = [];
  if (result.width) rows.push(["size", `${result.width} × ${result.height}`]);
  if (result.relevance !== undefined) rows.push(["relevance", `${Math.round(100 * result.relevance)}%`]);
  if (result.score !== undefined) rows.push(["score", scoreOf(result)]);
  rows.push(["id", idOf(result)]);
  const told = rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  for (const [name, value] of Object.entries(tags)) {
    if (name !== "text") told.push(element("dt", {}, name), tag(name, value)); // reading.js shows the text in a picture
  }
  return told;
}

function tag(name, value) {
  const condition = conditionOf(name, value);
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const described = element("dd", {}, /^https?:\/\/\S+$/.test(text) ? linkTo(text) : text);
  if (condition) {
    const only = element("button", { type: "button" }, "only these");
    only.setAttribute("aria-label", `Only pictures where ${name} is ${value}`);
    only.addEventListener("click", () => {
      close();
      actions.filter(condition);
    });
    described.append(only);
  }
  return described;
}

function linkTo(address) {
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, address);
}

/** A condition for this tag value, or "" if the condition language cannot express it. */
function conditionOf(name, value) {
  if (/["\\\x00-\x1f]/.test(name)) return "";
  const field = /^[A-Za-z_]\w*$/.test(name) ? `tags.${name}` : `tags."${name}"`;
  if (typeof value === "string") return `${field} = '${value.replaceAll("'", "''")}'`;
  return typeof value === "number" || typeof value === "boolean" ? `${field} = ${value}` : "";
}

/** Shows the next picture, or the previous one; those that were removed are passed over. */
async function step(by) {
  const source = shown;
  for (let to = place + by; to >= 0 && to < source.n; to += by) {
    if (!source.at(to)) await source.need(to, to + 1);
    if (source !== shown || !source.at(to)) return;
    if (!source.at(to).id) continue;
    place = to;
    return draw();
  }
}

byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", close);
byId("lightbox-similar").addEventListener("click", () => {
  close();
  actions.similar(shown.at(place));
});
byId("lightbox-download").addEventListener("click", (event) => {
  event.preventDefault(); // a link sends no key, and has nothing for an original that is gone
  save("zip", { pictures: [shown.at(place)] });
});
byId("lightbox-remove").addEventListener("click", () => {
  const [removed, at] = [shown.at(place), place];
  removal.ask(removed, () => {
    close();
    actions.removed(removed, at);
  });
});
for (const [id, sign] of THUMBS) byId(id).addEventListener("click", () => actions.mark(shown.at(place), sign));

dialog.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
  if (["+", "=", "-"].includes(event.key)) actions.mark(shown.at(place), event.key === "-" ? -1 : 1);
});
dialog.addEventListener("click", (event) => event.target === dialog && close());
byId("large").addEventListener("error", drawThumbnail);
byId("large").addEventListener("load", () => (byId("preview").hidden = true));
dialog.addEventListener("close", () => actions.closed?.(place, shown.at(place)));

let swiped = null; // where a finger was put
byId("large").addEventListener("touchstart", ({ touches }) => (swiped = touches.length === 1 ? touches[0] : null));
byId("large").addEventListener("touchend", ({ changedTouches: [end] }) => {
  const across = swiped ? end.clientX - swiped.clientX : 0;
  if (Math.abs(across) > SWIPE && Math.abs(end.clientY - swiped.clientY) < Math.abs(across)) step(across < 0 ? 1 : -1);
  swiped = null;
});
