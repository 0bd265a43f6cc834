// Elements. Strings become text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element of the page with an id. */
export const byId = (id) => document.getElementById(id);

/** An element with properties and children. */
export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** An SVG element with attributes and children. */
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Whether the page is dark, by its theme (theme.js) or that of the system. */
export const isDark = () => ({ light: false, dark: true })[document.documentElement.dataset.theme] ?? DARK.matches;

/** Calls `draw` when that changes: what is drawn on a canvas does not follow by itself. */
export function onTheme(draw) {
  DARK.addEventListener("change", draw);
  addEventListener("theme", draw);
}

/** The icon of a symbol in index.html, such as "similar". The text beside it says what it means. */
export const icon = (name) => svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));

/** `1 picture`, `2,000 pictures`. */
export const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/** Saves a blob under a name, like the download of a link. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
