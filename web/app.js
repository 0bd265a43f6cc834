// The search page: reads the form, queries the service, and shows the results.

import { element } from "./dom.js";
import * as guess from "./guess.js";
import { close as closeLightbox, openAt } from "./lightbox.js";
import { find, keep } from "./pictures.js";
import { addCaptions, addPictures, clear, focusOn, markExpected, titleOf } from "./results.js";
import * as service from "./service.js";
import { NOTHING, fromAddress, isEmpty, isMixed, recent, remember, toAddress } from "./state.js";

const PAGE = 30;
const N_CAPTIONS = 12;
const GUESSING = { top_k: guess.N_SHOWN, target: "image" };
const byId = (id) => document.getElementById(id);

let state = { ...NOTHING };
let pictures = []; // the results in the grid
let hasMore = false;
let asking = null; // AbortController of the current request
let previewUrl = "";
let previewOf = ""; // hash, id or URL of the picture in the preview

// -- searching

/** Searches for `state`; `how` changes the history: "push", "replace", or "keep" it. */
async function go(how = "push") {
  if (how !== "keep") history[`${how}State`](null, "", toAddress(state));
  closeLightbox();
  asking?.abort();
  const mine = (asking = new AbortController());
  hideFault();
  fill();
  byId("to-map").href = toAddress(state).replace("/", "/map.html");
  if (isEmpty(state)) return welcome();
  remember(state.words);
  fillRecent();
  wait(true);
  try {
    const picture = await dropped();
    if (mine.signal.aborted) return;
    await showPreview(picture);
    const told = await service.search(state, picture, state.guess ? GUESSING : { top_k: PAGE }, mine.signal);
    if (mine.signal.aborted) return;
    showFirst(told);
    if (state.guess) await tellRank(told.more, mine.signal);
  } catch (error) {
    if (!mine.signal.aborted) showFault(error);
  } finally {
    if (asking === mine) wait(false);
  }
}

/** Shows the rank of the expected picture of a guess, and marks it in the grid. */
async function tellRank(isMore, signal) {
  const rank = await guess.rankOf(state.guess, pictures, state, isMore, signal);
  if (signal.aborted) return;
  guess.expect(state.guess, guess.sayRank(rank));
  markExpected(state.guess);
}

/** The picture of the search if it was dropped, pasted or chosen, otherwise null. */
async function dropped() {
  if (!state.picture) return null;
  const found = await find(state.picture);
  if (found) return found;
  await showPreview(null);
  byId("picture-name").textContent = "Unknown picture";
  throw new service.Fault("This browser no longer has the picture of this search: drop it again.", 404);
}

async function more() {
  if (!hasMore || asking) return;
  const mine = (asking = new AbortController());
  byId("more").disabled = true;
  try {
    const page = { top_k: PAGE, offset: pictures.length, target: "image" };
    const told = await service.search(state, await dropped(), page, mine.signal);
    if (mine.signal.aborted) return;
    const first = pictures.length;
    const hadFocus = document.activeElement === document.body || document.activeElement === byId("more");
    addToGrid(told.results, told.more);
    if (hadFocus && byId("more").dataset.pressed) focusOn(first);
    say(`${pictures.length} pictures`);
  } catch (error) {
    if (!mine.signal.aborted) showFault(error);
    hasMore = false; // until the user retries
  } finally {
    delete byId("more").dataset.pressed;
    byId("more").disabled = false;
    if (asking === mine) asking = null;
  }
}

// -- showing

const actions = {
  open: (place) => openAt(pictures, place, { ...actions, closed: focusOn }),
  openCaption: (caption) => openAt([caption], 0, actions),
  similar: (result) => change({ ...NOTHING, where: state.where, like: result.image_id || result.id }),
  filter: (where) => change({ ...state, where }),
};

function change(changed, how = "push") {
  state = changed;
  return go(how);
}

function showFirst(told) {
  clear();
  pictures = [];
  byId("welcome").hidden = true;
  const captions = told.results.filter((result) => result.modality === "text").slice(0, N_CAPTIONS);
  addCaptions(captions, actions);
  byId("grid").classList.toggle("nine", Boolean(state.guess));
  addToGrid(told.results.filter((result) => result.modality === "image"), told.more && !state.guess);
  byId("caption-part").hidden = captions.length === 0;
  byId("picture-part").hidden = pictures.length === 0;
  byId("results").classList.toggle("both", captions.length > 0 && pictures.length > 0);
  say(summaryOf(told, captions.length));
  const ms = told.took_ms;
  const parts = [["encode", ms.encode], ["search", ms.search], ["rank", ms.rank], ["total", ms.total]];
  const spent = parts.map(([name, value]) => `${name} ${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);
  byId("took").textContent = [told.model, ...spent].join(" · ");
  document.title = `${titleOfSearch()} – Cross-modal search`;
  window.scrollTo(0, 0);
}

function addToGrid(results, isMore) {
  addPictures(results, pictures.length, actions);
  pictures.push(...results);
  hasMore = isMore && results.length > 0;
  byId("more").hidden = !hasMore;
  // Observe again, so that the next page loads at once if the end is still visible.
  atEnd.unobserve(byId("more"));
  if (hasMore) atEnd.observe(byId("more"));
}

function summaryOf(told, nCaptions) {
  if (told.n === 0) {
    return state.where ? "Nothing here fits. The filter may be too narrow." : "Nothing here fits.";
  }
  const fits = told.fits === false ? "Nothing here fits well. These are the nearest: " : "";
  const counted = [`${pictures.length}${hasMore ? " best" : ""} pictures`];
  if (nCaptions) counted.push(`${nCaptions} captions`);
  const avoided = told.query.exclude.length ? `, avoiding ${told.query.exclude.join(", ")}` : "";
  const note = told.note ? ` (${told.note})` : "";
  return `${fits}${counted.join(" and ")} for ${titleOfSearch()}${avoided}${note}`;
}

function titleOfSearch() {
  const parts = [];
  if (state.words) parts.push(`“${state.words}”`);
  if (state.picture) parts.push("your picture");
  if (state.url) parts.push(`the picture at ${state.url}`);
  if (state.like) parts.push("pictures similar to one");
  return parts.join(" and ");
}

function welcome() {
  wait(false);
  asking = null;
  clear();
  pictures = [];
  hasMore = false;
  for (const id of ["caption-part", "picture-part", "more"]) byId(id).hidden = true;
  byId("welcome").hidden = false;
  byId("took").textContent = "";
  say("");
  showPreview(null);
  document.title = "Cross-modal search";
}

const say = (text) => (byId("summary").textContent = text);

function wait(isWaiting) {
  byId("results").setAttribute("aria-busy", String(isWaiting));
  byId("progress").hidden = !isWaiting;
  if (isWaiting) say("Searching…");
  else asking = null;
}

// -- faults

function showFault(error) {
  if (!(error instanceof service.Fault)) console.error(error);
  const text = error.message || "Something went wrong.";
  say("");
  if (error.status === 401 || error.status === 403) {
    byId("keys").hidden = false;
    byId("key").focus();
  }
  if (text.startsWith("where: ")) {
    byId("options").open = true;
    byId("where-error").textContent = text.slice("where: ".length);
    byId("where").setAttribute("aria-invalid", "true");
    byId("where").focus();
    say("The filter is invalid.");
    return;
  }
  byId("fault-text").textContent = text;
  byId("fault").hidden = false;
}

function hideFault() {
  byId("fault").hidden = true;
  byId("where-error").textContent = "";
  byId("where").removeAttribute("aria-invalid");
}

// -- the form

/** Writes `state` into the form. */
function fill() {
  byId("words").value = state.words;
  byId("avoid").value = state.avoid;
  byId("where").value = state.where;
  byId("url").value = state.url;
  guess.expect(state.guess);
  byId("guess").open = Boolean(state.guess) || isEmpty(state);
  byId("mix").value = state.mix;
  byId("mix").setAttribute("aria-valuetext", `${Math.round(100 * state.mix)} % picture`);
  byId("mixing").hidden = !isMixed(state);
  if (state.avoid || state.where || state.url) byId("options").open = true;
}

/** The state of the form. */
function read() {
  const text = (id) => byId(id).value.trim();
  const [words, avoid, where, url] = ["words", "avoid", "where", "url"].map(text);
  const others = url && url !== state.url ? { picture: "", like: "" } : {}; // only one picture at a time: the latest
  return { ...state, words, avoid, where, url, ...others, mix: Number(byId("mix").value), guess: "" };
}

async function showPreview(picture) {
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
  const known = pictures.find((result) => result.id === state.like);
  const similar = state.like ? `Similar to ${known ? titleOf(known) : "this"}` : state.url;
  byId("picture-name").textContent = picture?.name ?? similar;
}

function fillRecent() {
  byId("recent").replaceChildren(...recent().map((words) => element("option", { value: words })));
}

/** Searches with a file of the user. */
async function take(file) {
  if (!file.type.startsWith("image/")) {
    showFault(new service.Fault(`${file.name || "The file"} is not a picture.`, 0));
    return;
  }
  const picture = await keep(file);
  await change({ ...read(), picture, like: "", url: "" });
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  change(read());
});
byId("words").addEventListener("search", () => {
  if (!byId("words").value && state.words) change(read()); // the clear button of the field
});
byId("mix").addEventListener("change", () => change(read(), "replace"));
byId("file").addEventListener("change", () => {
  const [file] = byId("file").files;
  byId("file").value = "";
  if (file) take(file);
});
byId("picture-remove").addEventListener("click", () => {
  change({ ...read(), picture: "", like: "", url: "" });
  byId("words").focus();
});
byId("retry").addEventListener("click", () => go("keep"));
byId("more").addEventListener("click", () => {
  byId("more").dataset.pressed = "yes";
  more();
});
byId("keys").addEventListener("submit", (event) => {
  event.preventDefault();
  service.useKey(byId("key").value.trim());
  byId("keys").hidden = true;
  begin();
});

const atEnd = new IntersectionObserver((entries) => entries.some((e) => e.isIntersecting) && more(), {
  rootMargin: "600px",
});

// -- drop and paste

document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
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
  const dropped = event.dataTransfer.getData("text/uri-list");
  const ours = dropped.match(/^(.*)\/(?:images|thumbnails)\/(\w+)$/m);
  const [url] = dropped.match(/^https?:.*$/m) ?? [];
  if (ours?.[1] === location.origin) change({ ...read(), picture: "", like: ours[2], url: "" });
  else if (file) take(file);
  else if (url) change({ ...read(), picture: "", like: "", url });
  else showFault(new service.Fault("Only pictures can be dropped here.", 0));
});

// -- the rest

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, dialog");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    byId("words").select();
    byId("words").focus();
  }
});
window.addEventListener("popstate", () => change(fromAddress(location.search), "keep"));
window.addEventListener("online", () => !byId("fault").hidden && go("keep"));

async function introduce() {
  try {
    const { collections, elsewhere } = await service.collections();
    const [first] = collections;
    const counted = `${first.images.toLocaleString()} pictures, ${first.captions.toLocaleString()} captions`;
    const name = elsewhere.length ? "" : `${first.name}: `; // the select element shows it
    byId("about").textContent = `${name}${counted} · ${first.model}`;
    offer(first, elsewhere);
    byId("empty").hidden = first.images + first.captions > 0;
    const examples = first.examples.map((words) => {
      const button = element("button", { type: "button" }, words);
      button.addEventListener("click", () => change({ ...NOTHING, words }));
      return button;
    });
    byId("examples").replaceChildren("Try: ", ...examples);
    byId("examples").hidden = examples.length === 0;
  } catch (error) {
    showFault(error);
  }
}

/** Offers the collections of other services, if there are any. */
function offer(ours, elsewhere) {
  const others = elsewhere.map(({ name, url }) => element("option", { value: url }, name));
  byId("collection").replaceChildren(element("option", { value: "", selected: true }, ours.name), ...others);
  byId("collection").hidden = elsewhere.length === 0;
}

byId("collection").addEventListener("change", () => {
  const { words, avoid, url } = state; // the parts that are valid for another collection
  const there = byId("collection").value.replace(/\/$/, "");
  byId("collection").value = ""; // reset for when the user comes back
  location.assign(there + toAddress({ ...NOTHING, words, avoid, url }));
});

/** Draws captions for the guessing game; hides it if that fails, since other requests report the failure. */
async function drawCaptions() {
  try {
    await guess.draw((caption) => change({ ...NOTHING, words: caption.text, guess: caption.image_id }));
  } catch (error) {
    if (!(error instanceof service.Fault)) throw error;
    byId("guess").hidden = true;
  }
}

byId("guess-others").addEventListener("click", drawCaptions);

function begin() {
  fillRecent();
  introduce();
  drawCaptions();
  return change(fromAddress(location.search), "keep");
}

begin();
