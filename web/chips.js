// The filters in force, as chips that can be removed. Dates and places that the service has read from the words are
// among them.

import { rangeOf } from "./dates.js";
import { byId, element, icon } from "./dom.js";

const NAMES = { camera: "Camera", folder: "Folder", country: "Country", place: "Place", label: "Label", where: "Filter", avoid: "Without" };

/** The chips of a state as {text, without}: `without` is the state that removing it leads to. */
export function chipsOf(state, understood = []) {
  const chips = understood.map((one) => ({ text: textOf(one), isRead: true, without: withoutRead(state, understood, one) }));
  const { after, before, near, within } = state;
  if (after || before) chips.push({ text: `Date: ${rangeOf(after, before)}`, without: { ...state, after: "", before: "" } });
  if (near) {
    const text = `Near ${near}${within ? `, within ${within} km` : ""}`;
    chips.push({ text, without: { ...state, near: "", within: "" } });
  }
  for (const [field, name] of Object.entries(NAMES)) {
    if (state[field]) chips.push({ text: `${name}: ${state[field]}`, without: { ...state, [field]: "" } });
  }
  return chips;
}

const textOf = ({ kind, after, before, near }) => (kind === "date" ? `Date: ${rangeOf(after ?? "", before ?? "")}` : `Place: ${near}`);

/** The state in which one of the parts that were read is words like the others; the rest stay filters. */
function withoutRead(state, understood, one) {
  const kept = { ...state, literal: "1" };
  for (const part of understood.filter((other) => other !== one)) {
    if (part.kind === "date") Object.assign(kept, { after: part.after ?? "", before: part.before ?? "" });
    else if (part.latitude === undefined) kept.where = joined(state.where, inArea(part.near));
    else Object.assign(kept, { near: part.near, within: String(part.within_km) });
  }
  return kept;
}

const joined = (where, condition) => (where ? `(${where}) and ${condition}` : condition);

/** The pictures of a country or region. */
function inArea(name) {
  const quoted = `'${name.replaceAll("'", "''")}'`;
  return `(tags.country = ${quoted} or tags.region = ${quoted})`;
}

/** Shows chips; `remove` is called with the one whose button is pressed. */
export function showChips(chips, remove) {
  const made = chips.map((chip) => {
    const button = element("button", { type: "button" }, element("span", {}, chip.text), icon("close"));
    button.setAttribute("aria-label", `Remove ${chip.text}`);
    if (chip.isRead) button.title = "Read from your words";
    button.classList.toggle("read", Boolean(chip.isRead));
    button.addEventListener("click", () => remove(chip));
    return element("li", {}, button);
  });
  const root = byId("chips");
  root.replaceChildren(...made);
  root.hidden = made.length === 0;
}
