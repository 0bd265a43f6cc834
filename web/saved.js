// Saved searches: this one is given a name, others are opened, renamed and removed. The service keeps them.

import { byId, element } from "./dom.js";
import * as service from "./service.js";
import { NOTHING, hasOwnPicture, requestOf, toAddress } from "./state.js";

const dialog = byId("saved");
let known = []; // {name, request, address}
let isWritable = false;
let asked = null; // {state, title, open}
let renamed = ""; // the name that is being changed
let undo = null; // takes back what was done last

/** Shows the saved searches; `given` has the present state, what it is called, and `open(query)`. */
export async function show(given) {
  asked = given;
  [known, isWritable] = [[], false];
  stopRenaming();
  say("Loading…");
  byId("save-search").hidden = byId("copy-search").hidden = true;
  draw();
  dialog.showModal();
  await load();
}

async function load() {
  try {
    const told = await service.savedSearches();
    [known, isWritable] = [told.searches, told.writable];
    say(known.length ? "" : "No search has been saved yet.");
  } catch (error) {
    if (!(error instanceof service.Fault)) throw error;
    return say(error.message);
  }
  offer();
  draw();
}

/** Offers to save the present search, or says why that can't be done. */
function offer() {
  const { state, title } = asked;
  const isNothing = toAddress(state) === toAddress(NOTHING);
  const isOffered = !isNothing && !hasOwnPicture(state);
  byId("save-search").hidden = !isOffered || !isWritable;
  byId("copy-search").hidden = !isOffered || isWritable;
  byId("save-name").value = title.slice(0, 100);
  let why = isWritable ? "" : "This service only reads, so it can't save searches. The link of this one can be kept instead.";
  if (isNothing) why = "Search or filter first, to save that.";
  if (hasOwnPicture(state)) why = "A search with a picture of your own can't be saved: only your browser has the picture.";
  byId("why-not").textContent = why;
}

function draw() {
  byId("saved-searches").replaceChildren(...known.map(entryOf));
}

function entryOf(search) {
  const open = element("a", { href: queryOf(search), className: "plain" }, search.name);
  open.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    dialog.close();
    asked.open(queryOf(search));
  });
  if (!isWritable) return element("li", {}, open);
  const buttons = { Rename: () => rename(search), Remove: () => doing(() => remove(search)) };
  const made = Object.entries(buttons).map(([text, act]) => {
    const button = element("button", { type: "button", className: "plain" }, text);
    button.setAttribute("aria-label", `${text} ${search.name}`);
    button.addEventListener("click", act);
    return button;
  });
  return element("li", {}, open, ...made);
}

/** The query of the page for a search; one that a program saved has no address, so it is made of the request. */
function queryOf({ request, address }) {
  if (address.startsWith("/?")) return address.slice(1); // and never to elsewhere
  const { text: q, exclude, within_km: within, image: url, understand, ...rest } = request;
  const fields = { q, not: exclude?.join(", "), within, url, literal: q && !understand ? 1 : "", ...rest };
  return `?${new URLSearchParams(Object.entries(fields).filter(([, value]) => value))}`;
}

// -- saving, renaming, removing

async function save(name) {
  const other = known.find((search) => search.name === name);
  if (!renamed) {
    await service.saveSearch(name, { request: requestOf(asked.state), address: toAddress(asked.state, "/") });
    return other ? { text: `“${name}” replaced.`, undo: () => back(other) } : { text: `“${name}” saved.` };
  }
  if (other && name !== renamed) throw new service.Fault(`There is a search named “${name}” already.`, 0);
  const search = known.find((one) => one.name === renamed);
  if (!other) {
    await back({ ...search, name });
    await service.removeSearch(renamed);
  }
  return { text: `“${renamed}” is now “${name}”.` };
}

async function remove(search) {
  await service.removeSearch(search.name);
  return { text: `“${search.name}” removed.`, undo: () => back(search) };
}

async function back({ name, request, address }) {
  await service.saveSearch(name, { request, address });
  return { text: `“${name}” is as it was.` };
}

/** Does something, says what was done and offers to undo it, or says why it failed. */
async function doing(act) {
  try {
    const done = await act();
    stopRenaming();
    await load();
    say(done.text, done.undo);
  } catch (error) {
    if (!(error instanceof service.Fault)) throw error;
    say(error.message);
  }
}

function rename(search) {
  renamed = search.name;
  byId("save-search").hidden = false;
  byId("save-label").textContent = `New name of “${search.name}”`;
  byId("save-it").textContent = "Rename";
  byId("save-name").value = search.name;
  byId("save-name").select();
  byId("save-name").focus();
}

function stopRenaming() {
  renamed = "";
  byId("save-label").textContent = "Name of this search";
  byId("save-it").textContent = "Save";
}

function say(text, offered = null) {
  undo = offered;
  byId("saved-said").textContent = text;
  byId("saved-undo").hidden = !undo;
  if (undo) byId("saved-undo").focus(); // what had the focus is gone
}

byId("save-search").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("save-name").value.trim();
  if (name) doing(() => save(name));
});
byId("copy-search").addEventListener("click", async () => {
  const link = toAddress(asked.state, service.ROOT);
  try {
    await navigator.clipboard.writeText(link);
    say("Link copied.");
  } catch {
    say(link);
  }
});
byId("saved-undo").addEventListener("click", () => doing(undo));
byId("saved-close").addEventListener("click", () => dialog.close());
