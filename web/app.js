// The page: browses the collection or searches it, as its address says, and shows the pictures in one grid.

import { listenForKey } from "./alert.js";
import { allOf } from "./all.js";
import { Browse } from "./browse.js";
import { showCaptions } from "./captions.js";
import { chipsOf, showChips } from "./chips.js";
import { byId, element, icon } from "./dom.js";
import * as examples from "./examples.js";
import { hideFault, showFault } from "./faults.js";
import * as form from "./form.js";
import { Found } from "./found.js";
import { Grid } from "./grid.js";
import * as guess from "./guess.js";
import { introduce } from "./introduction.js";
import { close as closeLightbox, isOpen, only, openAt, showMarks } from "./lightbox.js";
import { marked, signOf } from "./marks.js";
import * as panel from "./panel.js";
import * as saved from "./saved.js";
import * as selection from "./selection.js";
import * as service from "./service.js";
import { NOTHING, filtersOf, filtersOnly, fromAddress, isEmpty, remember, toAddress, withoutFilters } from "./state.js";
import { summaryOf, titleOfSearch, tookOf } from "./summary.js";
import { idOf, tileOf, titleOf } from "./tile.js";
import { Timeline } from "./timeline.js";
import { offerUndo, tell } from "./undo.js";
import * as unloaded from "./unloaded.js";

const PAGE = 120;
const MOST = 1000; // results of a request
const GUESSING = { top_k: guess.N_SHOWN, target: "image" };
const ORDERS = { newest: "Newest first", oldest: "Oldest first" };
const SLOW_MS = 8000;
const [MARK, WORDS, SCORE] = [30, 28, 22]; // px below a picture

let state = { ...NOTHING };
let source = null; // of the grid: a Browse or a Found
let sourceOf = null; // the state that it was made for
let isIntroduced = false;
let asking = null; // AbortController of what is shown
let isSearching = false; // for further results
let startAt = 0; // place at the top of the window, when the user comes back
let settling; // timer, until the window has been still for a moment
let waiting; // timer, until a request takes long

const grid = new Grid(byId("grid"), {
  tile: (picture) =>
    examples.withThumbs(tileOf(picture, source.threshold, selection.isSelected(picture), picture.id === state.guess), picture, state),
  head: headOf,
  moved: () => timeline.move(),
});
const timeline = new Timeline(grid);

// -- from a state to what is shown

/** Shows a state, from a place on; `how` changes the history: "push", "replace", or "keep" it. */
function change(changed, how = "push", at = 0) {
  if (how === "push") keepPlace();
  clearTimeout(settling);
  startAt = (how === "keep" && history.state?.place) || at;
  state = changed;
  if (how !== "keep") history[`${how}State`](null, "", toAddress(state));
  return go();
}

/** Shows another state, and offers to come back to this one. */
function changeWithUndo(changed, text, at = 0) {
  const before = state;
  const done = change(changed, "push", at);
  offerUndo(text, () => change(before));
  return done;
}

async function go() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const focused = document.activeElement;
  hideFault();
  form.fill(state);
  examples.showExamples(state);
  showMarks();
  showChips(chipsOf(state), removeChip);
  offerOrders();
  byId("to-map").href = toAddress(state, "map.html");
  document.title = isEmpty(state) ? "Cross-modal search" : `${titleOfSearch(state)} – Cross-modal search`;
  remember(state.words);
  wait(true);
  try {
    await (isEmpty(state) ? browse(mine.signal) : search(mine.signal));
    if (asking === mine && isGone(focused)) grid.focusOn(startAt);
  } catch (error) {
    if (!mine.signal.aborted) showFault(error);
  } finally {
    if (asking === mine) wait(false);
  }
}

/** Whether what had the focus is removed or hidden, and the focus is not elsewhere by now. */
function isGone(focused) {
  const isElsewhere = ![focused, document.body].includes(document.activeElement);
  return !isElsewhere && !focused.checkVisibility({ visibilityProperty: true });
}

async function browse(signal) {
  form.showPreview(state, null, "");
  const opening = Browse.open(state, signal, { loaded: () => grid.refresh(), failed: showFault });
  const [opened] = await Promise.all([opening, panel.begin(state, signal, choose)]);
  if (signal.aborted) return;
  showCaptions([]);
  byId("took").textContent = "";
  show(opened, 0);
  offerOrders(opened);
  say(summaryOf(state, opened));
  showFilters(signal);
}

async function search(signal) {
  const picture = await form.dropped(state);
  if (signal.aborted) return;
  form.showPreview(state, picture, picture?.name ?? nameOfLike());
  const asked = service.search(state, picture, state.guess ? GUESSING : { top_k: Math.min(startAt + PAGE, MOST) }, signal);
  const [told] = await Promise.all([asked, panel.begin(state, signal, choose)]);
  if (signal.aborted) return;
  const found = new Found(state, told, () => more(found, signal));
  found.nCaptions = showCaptions(told.results, found.threshold, (caption) => openAt(only(caption), 0, actions));
  byId("took").textContent = tookOf(told);
  showChips(chipsOf(state, told.understood), removeChip);
  show(found, belowOf(found));
  say(summaryOf(state, found));
  if (state.guess) await guess.tellRank(state, found, told.more, signal);
  showFilters(signal);
}

function show(opened, below) {
  [source, sourceOf] = [opened, state];
  byId("examples").classList.toggle("away", !isEmpty(state));
  scrollTo({ top: 0, behavior: "instant" });
  grid.show(opened, below);
  if (startAt) grid.reveal(startAt, true);
  showNothing(opened);
}

/** Says so where there is nothing to show, and what can be done. */
function showNothing({ n, nCaptions }) {
  const isFiltered = Object.keys(filtersOf(state)).length > 0;
  byId("nothing").hidden = n + (nCaptions ?? 0) > 0;
  byId("nothing-text").textContent = isFiltered ? "No picture fits these filters." : "No picture was found. Try other words, or fewer.";
  byId("unfilter").hidden = !isFiltered;
}

/** Loads further results. */
async function more(found, signal) {
  if (!found.more || isSearching) return;
  isSearching = true;
  try {
    const page = { top_k: PAGE, offset: found.n, target: "image" };
    const told = await service.search(state, await form.dropped(state), page, signal);
    if (signal.aborted) return;
    const nFitting = found.fitting.length;
    const shift = found.add(told);
    isSearching = false;
    grid.grow(nFitting, shift);
    say(summaryOf(state, found));
  } catch (error) {
    if (signal.aborted) return;
    found.more = false; // until the user tries again
    showFault(error);
  } finally {
    isSearching = false;
  }
}

/** px that the texts below each result need. */
function belowOf(found) {
  const isDetailed = document.body.classList.contains("detailed");
  const hasWords = found.pictures.some(({ why }) => why?.length);
  return (found.hasRelevance ? MARK : 0) + (hasWords ? WORDS : 0) + (isDetailed ? SCORE : 0);
}

function nameOfLike() {
  if (!state.like) return state.url;
  const known = source?.pictures?.find(({ id }) => id === state.like);
  return `Similar to ${known ? titleOf(known) : "this"}`;
}

/** A heading of the grid: a month, a folder to walk into, or the line below what fits. */
function headOf(section) {
  const isFolder = source.order === "folder" && section.key;
  const title = isFolder ? element("button", { type: "button", className: "plain" }, icon("folder"), section.title) : section.title;
  if (isFolder) title.addEventListener("click", () => change({ ...filtersOnly(state), folder: section.key }));
  const n = element("span", { className: "n" }, section.note ?? section.n.toLocaleString("en"));
  return element("h2", { className: section.isLine ? "heading line" : "heading" }, title, " ", n);
}

const choose = (filter) => change({ ...state, ...filter });

function showFilters(signal) {
  panel.showFilters(state, () => grid.drawn(), signal, choose).catch(showFault);
}

function removeChip(chip) {
  changeWithUndo(chip.without, `Removed ${chip.text}.`);
}

function offerOrders(opened) {
  const first = isEmpty(state) ? { ...(opened?.hasDates === false ? {} : ORDERS), folder: "By folder" } : { "": "Best first", ...ORDERS };
  byId("order").replaceChildren(...Object.entries(first).map(([value, text]) => element("option", { value }, text)));
  byId("order").value = opened?.order ?? (state.order || (isEmpty(state) ? "newest" : ""));
}

const say = (text) => (byId("summary").textContent = text);

function wait(isWaiting) {
  byId("results").setAttribute("aria-busy", String(isWaiting));
  byId("progress").hidden = !isWaiting;
  clearTimeout(waiting);
  if (!isWaiting) return;
  const text = isEmpty(state) ? "Loading…" : "Searching…";
  say(text);
  waiting = setTimeout(() => say(`${text} This takes longer than usual.`), SLOW_MS);
}

// -- the pictures

const actions = {
  similar: (picture) => change({ ...filtersOnly(state), like: idOf(picture) }),
  filter: (where) => change({ ...state, where }),
  mark,
  removed,
  state: () => state,
};

/** Marks a picture as an example; the window and the lightbox stay where they are, and so does the focus. */
async function mark(picture, sign) {
  const [place, focused, wasOpen] = [grid.topPlace(), grid.focused(), isOpen()];
  const { state: changed, text } = examples.pressed(state, picture, sign);
  if (changed === state) return tell(text);
  await changeWithUndo(changed, text, grid.top() > 0 ? place : 0);
  if (focused >= 0) grid.focusOn(Math.min(focused, source.n - 1));
  else if (wasOpen && !isOpen()) focusOn(picture, place);
}

/** Shows what is left after a picture was removed from the index; the focus goes to the picture that takes its place. */
async function removed(picture, place) {
  const id = idOf(picture);
  const isUsed = state.like === id || signOf(state, id) !== 0;
  const at = grid.top() > 0 ? grid.topPlace() : 0;
  await change(isUsed ? marked(state, [id], 0) : state, isUsed ? "replace" : "keep", at);
  focusOn(null, place);
  tell(`${titleOf(picture)} was removed from the index.`);
}

/** Focuses a picture, or if it is not shown any more, the one at its place. */
function focusOn(picture, place) {
  const found = source.pictures?.findIndex(({ id }) => id === picture?.id) ?? -1;
  grid.focusOn(found >= 0 ? found : Math.min(place, source.n - 1));
}

byId("grid").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const tile = button?.closest(".tile");
  if (!tile) return;
  const place = Number(tile.dataset.place);
  grid.setCurrent(place);
  if (button.matches(".similar")) actions.similar(source.at(place));
  else if (button.matches(".thumb")) mark(source.at(place), Number(button.dataset.sign));
  else if (button.matches(".select") || selection.isSelecting()) selection.toggle(source, place, event.shiftKey);
  else openAt(source, place, { ...actions, closed: (at, picture) => focusOn(picture, at) });
});

byId("grid").addEventListener("keydown", (event) => {
  const place = grid.focused();
  if (place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  const to = grid.placeOf(event.key, place);
  if (key === "s") actions.similar(source.at(place));
  else if ("+=-".includes(key)) mark(source.at(place), key === "-" ? -1 : 1);
  else if (key === "x") selection.toggle(source, place, event.shiftKey);
  else if (to >= 0) grid.focusOn(to);
  else return;
  event.preventDefault();
});

selection.listen({
  all: async (progress, signal) => allOf(state, source, await form.dropped(state), progress, signal),
  title: () => titleOfSearch(state),
});

// -- the page

function showDetails(isOn) {
  document.body.classList.toggle("detailed", isOn);
  byId("details").setAttribute("aria-pressed", String(isOn));
  if (source instanceof Found) grid.relayout(belowOf(source));
}

/** Remembers in the history where the window is, for when the user comes back. */
function keepPlace() {
  if (byId("results").getAttribute("aria-busy") === "true") return; // still shows what was before
  const place = grid.top() > 0 ? grid.topPlace() : undefined;
  if (history.state?.place !== place) history.replaceState(place === undefined ? null : { place }, "");
}

form.listen(
  (fields, how) => change({ ...form.read(state), ...fields, order: isEmpty(state) ? "" : state.order }, how),
  (text) => showFault(new service.Fault(text, 0)),
);
byId("words").addEventListener("search", () => {
  if (!byId("words").value && state.words) changeWithUndo({ ...form.read(state), order: "" }, "Search cleared."); // the clear button of the field
});
byId("picture-remove").addEventListener("click", () => {
  changeWithUndo({ ...form.read(state), picture: "", like: "", url: "" }, "Picture removed.");
  byId("words").focus();
});
examples.listen(
  (to, text) => changeWithUndo(to(state), text),
  async (files) => changeWithUndo(await examples.added(state, files), `More like ${files.length === 1 ? "your picture" : "your pictures"}.`),
);
byId("order").addEventListener("change", () => change({ ...state, order: byId("order").value }));
byId("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  change({ ...NOTHING });
});
byId("unfilter").addEventListener("click", () => changeWithUndo(withoutFilters(state), "Filters removed."));
byId("to-filters").addEventListener("click", () => {
  panel.openFilters(byId("filters").hidden);
  showFilters(asking.signal);
});
byId("details").addEventListener("click", () => showDetails(!document.body.classList.contains("detailed")));
byId("retry").addEventListener("click", again);
listenForKey(begin);
unloaded.listen(showFault);
byId("to-saved").addEventListener("click", () => {
  const open = (query) => change(fromAddress(query));
  saved.show({ state, title: state.words || titleOfSearch(state) || chipsOf(state).map(({ text }) => text).join(", "), open }); // prettier-ignore
});
byId("to-keys").addEventListener("click", () => byId("all-keys").showModal());
byId("keys-close").addEventListener("click", () => byId("all-keys").close());
byId("guess-others").addEventListener("click", drawCaptions);
document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select, dialog") || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape" && selection.isSelecting()) selection.begin(false);
  else if (event.key === "?") byId("all-keys").showModal();
  else if (event.key === "/") {
    event.preventDefault();
    byId("words").select();
    byId("words").focus();
  }
});
addEventListener("scroll", () => {
  clearTimeout(settling);
  settling = setTimeout(keepPlace, 250);
});
addEventListener("popstate", () => {
  closeLightbox();
  change(fromAddress(location.search), "keep");
});
addEventListener("online", () => !byId("fault").hidden && again());

/** Draws captions for the guessing game, which is left out if that fails: other requests report the fault. */
async function drawCaptions() {
  try {
    await guess.draw((caption) => change({ ...NOTHING, words: caption.text, guess: caption.image_id }));
  } catch (error) {
    if (!(error instanceof service.Fault)) throw error;
    byId("to-guess").hidden = true;
  }
}

async function begin() {
  await change(fromAddress(location.search), "keep");
  await introduceAll();
}

async function introduceAll() {
  isIntroduced = true;
  const failed = (error) => {
    isIntroduced = false;
    showFault(error);
  };
  await Promise.all([introduce((words) => change({ ...NOTHING, words }), () => state).catch(failed), drawCaptions()]);
}

/** Tries again what has failed; what is shown stays where it is. */
async function again() {
  if (sourceOf === state) startAt = grid.top() > 0 ? grid.topPlace() : 0;
  await go();
  if (!isIntroduced) await introduceAll();
}

history.scrollRestoration = "manual";
new ResizeObserver(() => document.documentElement.style.setProperty("--bar", `${byId("bar").offsetHeight}px`)).observe(byId("bar"));
panel.openFilters(matchMedia("(min-width: 64rem)").matches, false);
begin();
