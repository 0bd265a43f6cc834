// Shows one picture in full size with its details.

import { element } from "./dom.js";
import { scoreOf, titleOf, wordOf } from "./results.js";
import { Fault, document as documentOf, show } from "./service.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("lightbox");
let shown = [];
let place = 0;
let actions = {};

/** Opens the lightbox at a position of some results. */
export function openAt(results, at, given) {
  [shown, place, actions] = [results, at, given];
  draw();
  if (!dialog.open) dialog.showModal();
}

export const close = () => dialog.open && dialog.close();

function draw() {
  const result = shown[place];
  const large = byId("large");
  byId("lightbox-title").textContent = titleOf(result);
  large.alt = result.captions[0] || titleOf(result);
  show(large, result.image);
  byId("all-captions").replaceChildren(...result.captions.map((text) => element("li", {}, text)));
  byId("facts").replaceChildren(...facts(result));
  byId("original").href = result.image;
  byId("previous").disabled = place === 0;
  byId("next").disabled = place + 1 >= shown.length;
  showWords(result.image_id || result.id);
}

/** Shows the strongest words of a picture, if the service has them. */
async function showWords(id) {
  byId("strongest").hidden = true;
  try {
    const { words } = await documentOf(id);
    const result = shown[place];
    if (!words?.length || id !== (result.image_id || result.id)) return;
    byId("words-of-it").replaceChildren(...words.map(wordOf));
    byId("strongest").hidden = false;
  } catch (error) {
    if (!(error instanceof Fault)) throw error; // the lightbox is complete without them
  }
}

function facts(result) {
  const rows = [["score", scoreOf(result)]];
  if (result.relevance !== undefined) rows.push(["relevance", `${Math.round(100 * result.relevance)} %`]);
  if (result.width) rows.push(["size", `${result.width} × ${result.height}`]);
  rows.push(["id", result.image_id || result.id]);
  const told = rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  for (const [name, value] of Object.entries(result.tags)) told.push(element("dt", {}, name), tag(name, value));
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

function step(by) {
  if (!(place + by >= 0 && place + by < shown.length)) return;
  place += by;
  draw();
}

byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", close);
byId("lightbox-similar").addEventListener("click", () => {
  close();
  actions.similar(shown[place]);
});
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
dialog.addEventListener("click", (event) => event.target === dialog && close());
dialog.addEventListener("close", () => actions.closed?.(place));
