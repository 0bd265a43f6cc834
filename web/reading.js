// The text in a picture of the lightbox: its lines, and where they stand, as boxes over the picture.

import { byId, element, svg } from "./dom.js";

const [CONTAINED_FROM, SIMILAR_FROM] = [5, 6]; // as in crossmodal/lexical/reading_index.py
const boxes = byId("boxes");
const picture = byId("large");
const all = byId("all-boxes");
let read = null;

/** Shows the text of a picture, or nothing if it has none; `why` has the words that a result was found by. */
export function drawReading(reading, why) {
  read = reading?.lines?.length ? reading : null;
  byId("reading").hidden = !read;
  boxes.replaceChildren();
  byId("copy-text").textContent = "Copy";
  if (!read) return;
  const wanted = (why ?? []).filter(({ word }) => word.startsWith('"')).map(({ word }) => word.slice(1, -1));
  const isWanted = ({ text }) => wanted.some((word) => wordsOf(text).some((other) => isFoundBy(word, other)));
  byId("lines").replaceChildren(...read.lines.map((line) => lineOf(line, isWanted)));
  for (const line of read.lines) {
    const matched = line.words.filter(isWanted);
    const places = matched.length || !isWanted(line) ? matched : [line];
    boxes.append(polygon(line, "line"), ...places.map((part) => polygon(part, "matched")));
  }
  place();
}

function lineOf(line, isWanted) {
  const words = line.words.length ? line.words : [line];
  const parts = words.flatMap((word, i) => [i ? " " : "", isWanted(word) ? element("mark", {}, word.text) : word.text]);
  return element("li", {}, ...parts);
}

function polygon({ box }, kind) {
  const corners = [0, 2, 4, 6].map((i) => `${box[i] * 1000},${box[i + 1] * 1000}`);
  return svg("polygon", { points: corners.join(" "), class: kind });
}

/** The words of a text as the service compares them. */
function wordsOf(text) {
  const plain = text.normalize("NFKD").toLowerCase().replaceAll("ß", "ss").replace(/[\p{M}'’`´]/gu, "");
  return plain.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
}

function isFoundBy(word, other) {
  if (word === other) return true;
  if ((word.length >= CONTAINED_FROM || /[^\x00-\x7f]/.test(word)) && other.includes(word)) return true;
  return word.length >= SIMILAR_FROM && isSimilar(word, other);
}

/** Whether a single letter differs, is missing or is added. */
function isSimilar(one, other) {
  const [shorter, longer] = one.length < other.length ? [one, other] : [other, one];
  if (longer.length - shorter.length > 1) return false;
  let start = 0;
  while (start < shorter.length && shorter[start] === longer[start]) start += 1;
  return shorter.slice(start + (one.length === other.length ? 1 : 0)) === longer.slice(start + 1);
}

/** Lays the boxes over the part of the element that the picture fills. */
function place() {
  const { naturalWidth, naturalHeight, clientWidth, clientHeight } = picture;
  if (!naturalWidth) return;
  const scale = Math.min(clientWidth / naturalWidth, clientHeight / naturalHeight);
  const [width, height] = [naturalWidth * scale, naturalHeight * scale];
  Object.assign(boxes.style, {
    left: `${picture.offsetLeft + (clientWidth - width) / 2}px`,
    top: `${picture.offsetTop + (clientHeight - height) / 2}px`,
    width: `${width}px`,
    height: `${height}px`,
  });
}

function showAll(isPressed) {
  all.setAttribute("aria-pressed", String(isPressed));
  boxes.classList.toggle("all", isPressed);
}

async function copy() {
  const text = read.lines.map((line) => line.text).join("\n");
  try {
    await navigator.clipboard.writeText(text);
    byId("copy-text").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(byId("lines")); // without https, the browser lets only the user copy
    byId("copy-text").textContent = "Selected";
  }
}

all.addEventListener("click", () => showAll(all.getAttribute("aria-pressed") !== "true"));
byId("copy-text").addEventListener("click", copy);
picture.addEventListener("load", place);
new ResizeObserver(place).observe(picture);
