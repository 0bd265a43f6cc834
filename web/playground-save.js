// Files of what the page shows: CSV of tables, SVG and PNG of charts.

import { element, save, svg } from "./dom.js";

const KEPT = [
  "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-opacity", "opacity",
  "font-family", "font-size", "font-weight", "text-anchor",
]; // prettier-ignore
const [MARGIN, HEAD] = [16, 44]; // px around a saved chart, and for its title

/** Rows as CSV by RFC 4180, with a header; what a spreadsheet would take for a formula gets a leading apostrophe. */
function toCsv(columns, rows) {
  const field = (value) => {
    const text = typeof value === "string" ? value.replace(/^[=+\-@\t\r]/, "'$&") : String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => row.map(field).join(",") + "\r\n").join("");
}

export const saveCsv = (columns, rows, name) =>
  save(new Blob([toCsv(columns, rows)], { type: "text/csv" }), `${name}.csv`);

/** A drawing as an SVG file of its own: with its colours in it, on paper, below its title. */
export function standalone(drawing, title, subtitle) {
  const copy = drawing.cloneNode(true);
  const [from, to] = [drawing, copy].map((root) => [root, ...root.querySelectorAll("*")]);
  from.forEach((one, place) => {
    const style = getComputedStyle(one);
    for (const name of KEPT) to[place].setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "tabindex", "href", "data-key", "aria-current"]) to[place].removeAttribute(name);
  });
  const { width, height } = drawing.viewBox.baseVal;
  const box = [-MARGIN, -HEAD, width + 2 * MARGIN, height + HEAD + MARGIN];
  const page = getComputedStyle(document.body);
  copy.setAttribute("viewBox", box.join(" "));
  copy.setAttribute("width", box[2]);
  copy.setAttribute("height", box[3]);
  copy.setAttribute("font-family", "system-ui, sans-serif");
  const paper = svg("rect", { x: box[0], y: box[1], width: box[2], height: box[3], fill: page.backgroundColor });
  const head = svg("text", { y: -22, "font-size": 15, "font-weight": 600, fill: page.color }, title);
  copy.prepend(paper, head, svg("text", { y: -5, "font-size": 12, fill: page.color }, subtitle));
  return new XMLSerializer().serializeToString(copy);
}

export const saveSvg = (text, name) => save(new Blob([text], { type: "image/svg+xml" }), `${name}.svg`);

/** Saves an SVG file's drawing as PNG, at twice its size. */
export async function savePng(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    const image = element("img", { src: url });
    await image.decode();
    const canvas = element("canvas", { width: 2 * image.width, height: 2 * image.height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    save(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")), `${name}.png`);
  } finally {
    URL.revokeObjectURL(url);
  }
}
