// What all charts share: a drawing, a frame with a title, the value under the pointer, downloads, and a table of values.

import { element, svg } from "./dom.js";
import { saveCsv, savePng, saveSvg, standalone } from "./playground-save.js";

/** A drawing of a size in px, with a title and a description for those who do not see it. */
export function drawing(width, height, title, description, ...children) {
  const [titled, described] = ["title", "desc"].map((kind) => `${kind}-${title.toLowerCase().replace(/\W+/g, "-")}`);
  return svg(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      "aria-labelledby": titled,
      "aria-describedby": described,
    },
    svg("title", { id: titled }, title),
    svg("desc", { id: described }, description),
    ...children,
  );
}

export const text = (x, y, words, attributes = {}) => svg("text", { x, y, ...attributes }, words);

/** A mark that can be focused, has a name, and leads to an address. */
export function mark(label, key, href, isCurrent, ...children) {
  const attributes = {
    class: "mark",
    href,
    "aria-label": label,
    "data-key": key,
    "aria-current": isCurrent ? "true" : undefined,
  };
  return svg("a", attributes, svg("title", {}, label), ...children);
}

/** Words that fit into so many characters. */
export const shortened = (words, most) => (words.length > most ? `${words.slice(0, most - 1)}…` : words);

/** Downloads of a chart; `file()` is its SVG file. */
export function downloads(file, table, name) {
  const button = (kind, act) => {
    const made = element("button", { type: "button", className: "plain" }, kind);
    made.setAttribute("aria-label", `Download ${kind}`);
    made.addEventListener("click", act);
    return made;
  };
  return element(
    "div",
    { className: "downloads" },
    element("span", { className: "n" }, "Download"),
    button("PNG", () => savePng(file(), name)),
    button("SVG", () => saveSvg(file(), name)),
    button("CSV", () => saveCsv(table.columns, table.rows, name)),
  );
}

/**
 * A chart in its frame. `drawn` is the drawing, `table` its values as {columns, rows}, `name` that of its files, and
 * `extra` controls beside its title.
 */
export function figure({ title, subtitle, help = "", drawn, table, name, extra = [] }) {
  const readout = element("p", { className: "readout" });
  readout.setAttribute("aria-hidden", "true"); // the marks themselves have these names
  const show = ({ target }) => {
    const label = target.closest?.("[aria-label]")?.getAttribute("aria-label");
    if (label) readout.textContent = label;
  };
  drawn.addEventListener("pointerover", show);
  drawn.addEventListener("focusin", show);
  drawn.addEventListener("read", ({ detail }) => (readout.textContent = detail));
  const scroller = element("div", { className: "scroller" }, drawn);
  return element(
    "figure",
    { className: "chart" },
    element(
      "figcaption",
      {},
      element("h2", {}, title),
      ...extra,
      downloads(() => standalone(drawn, title, subtitle), table, name),
      element("p", { className: "quiet" }, subtitle, help ? ` ${help}` : ""),
    ),
    readout,
    scroller,
    values(table),
  );
}

/** The values of a chart as a table, which is made when it is opened. */
export function values({ columns, rows }) {
  const details = element("details", { className: "values" }, element("summary", {}, "Values as a table"));
  details.addEventListener(
    "toggle",
    () => {
      const cell = (name, value) => element(name, name === "th" ? { scope: "col" } : {}, String(value ?? ""));
      const head = element("tr", {}, ...columns.map((column) => cell("th", column)));
      const body = rows.map((row) => element("tr", {}, ...row.map((value) => cell("td", value))));
      const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
      const box = element("div", { className: "scroller", tabIndex: 0 }, table);
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", "Values");
      details.append(box);
    },
    { once: true },
  );
  return details;
}
