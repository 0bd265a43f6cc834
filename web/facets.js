// The panel of filters: years, places, cameras, labels and folders with the number of their pictures.

import { nextYear } from "./dates.js";
import { byId, element, icon } from "./dom.js";

const N_SHOWN = 8;
const root = byId("facets");

const GROUPS = [
  { name: "year", title: "Year", isSet: (state) => state.after || state.before, filter: ofYear },
  { name: "country", title: "Country", isSet: (state) => state.country, filter: (country) => ({ country }) },
  { name: "place", title: "Place", isSet: (state) => state.place, filter: (place) => ({ place }) },
  { name: "camera", title: "Camera", isSet: (state) => state.camera, filter: (camera) => ({ camera }) },
  { name: "label", title: "Label", isSet: (state) => state.label, filter: (label) => ({ label }) },
];

function ofYear(year) {
  return { after: year, before: nextYear(year) };
}

/** Shows what can be narrowed further, and whether there is anything; `folders` are sections, and `choose` is called with the fields of a filter. */
export function showFacets(facets, folders, state, choose) {
  const groups = GROUPS.filter(({ name, isSet }) => !isSet(state) && facets[name]?.length);
  const made = groups.map(({ name, title, filter }) => {
    if (name === "year") facets.year.sort((a, b) => b.value.localeCompare(a.value));
    const values = facets[name].map(({ value, n }) => ({ text: String(value), n, filter: filter(String(value)) }));
    return groupOf(title, values, choose);
  });
  const below = inside(folders, state.folder);
  if (below.length) made.push(groupOf("Folder", below, choose, "folder"));
  const hadFocus = root.contains(document.activeElement);
  root.replaceChildren(...made);
  if (hadFocus) (root.querySelector("button") ?? byId("to-filters")).focus();
  byId("no-facets").hidden = made.length > 0;
  return made.length > 0;
}

/** The folders directly inside a folder, each with the number of all pictures below it. */
function inside(folders, folder) {
  const start = folder ? `${folder}/` : "";
  const counts = new Map();
  for (const { key, n } of folders) {
    if (!key.startsWith(start) || key === "") continue;
    const [name] = key.slice(start.length).split("/");
    counts.set(name, (counts.get(name) ?? 0) + n);
  }
  return [...counts].map(([text, n]) => ({ text, n, filter: { folder: start + text } }));
}

function groupOf(title, values, choose, symbol) {
  const list = element("ul", {}, ...values.map((value) => buttonOf(value, choose, symbol)));
  const group = element("details", { open: true }, element("summary", {}, title), list);
  if (values.length > N_SHOWN) {
    const rest = [...list.children].slice(N_SHOWN);
    for (const item of rest) item.hidden = true;
    const all = element("button", { type: "button", className: "all" }, `Show all ${values.length}`);
    all.addEventListener("click", () => {
      for (const item of rest) item.hidden = false;
      all.remove();
      rest[0].querySelector("button").focus();
    });
    group.append(all);
  }
  return group;
}

function buttonOf({ text, n, filter }, choose, symbol) {
  const button = element("button", { type: "button" });
  if (symbol) button.append(icon(symbol));
  button.append(element("span", {}, text), " ", element("span", { className: "n" }, n.toLocaleString("en")));
  button.addEventListener("click", () => choose(filter, text));
  return element("li", {}, button);
}
