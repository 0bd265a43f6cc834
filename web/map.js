// The map: all pictures as points, coloured by a tag or by the score of a search.

import { listenForKey, showFault } from "./alert.js";
import { byId, element, onTheme } from "./dom.js";
import { find } from "./pictures.js";
import { besidePoint, steer, ZOOM } from "./plane-moves.js";
import { isInside, Plane } from "./plane.js";
import * as service from "./service.js";
import { fromAddress, isEmpty, NOTHING, toAddress } from "./state.js";

const N_GROUPS = 10; // the number of colours in the style sheet
const N_SHADES = 24;
const N_SCORED = 1000; // the service's limit
const N_LISTED = 60;
const SCORE = "a search";
const canvas = byId("map");

let told = null; // the response of GET /map
let plane = null;
let state = fromAddress(location.search);
let scores = null; // score by point, for the points in the results
let chosen = []; // selected points in the order of the list
let listed = 0;

const nameOf = (n) => told.filenames[n] || told.ids[n].slice(0, 12);
const similarTo = (n) => toAddress({ ...NOTHING, like: told.ids[n] });
const counted = (n) => `${n.toLocaleString()} picture${n === 1 ? "" : "s"}`;
const say = (text) => (byId("summary").textContent = text);

// -- colours

/** A colour of the style sheet for the canvas, in light or dark mode. */
function colour(name) {
  const probe = byId("palette");
  probe.className = name;
  return getComputedStyle(probe).color;
}

function paint() {
  const by = byId("colour").value;
  const legend = byId("legend");
  legend.replaceChildren();
  const marks = { ink: colour("ink"), accent: colour("accent") };
  if (by === SCORE && scores) paintScores(legend, marks);
  else if (told.groups[by]) paintGroups(told.groups[by], legend, marks);
  else plane.paint(new Uint8Array(told.n), [colour("g0")], marks);
  legend.hidden = legend.children.length === 0;
}

/** Gives the most frequent values a colour each, and the others a common one. */
function paintGroups(group, legend, marks) {
  const shown = Math.min(N_GROUPS, group.values.length);
  const counts = new Array(shown + 1).fill(0);
  const shade = Uint8Array.from(group.of, (place) => (place >= 0 && place < shown ? place + 1 : 0));
  for (const one of shade) counts[one] += 1;
  const names = [...Array(shown).keys()].map((place) => `g${place}`);
  plane.paint(shade, ["rest", ...names].map(colour), marks);
  const entry = (name, label, n) =>
    element("span", {}, element("i", { className: name }), `${label} (${n.toLocaleString()})`);
  legend.append(...names.map((name, place) => entry(name, group.values[place], counts[place + 1])));
  if (counts[0]) legend.append(entry("rest", "others", counts[0]));
}

function paintScores(legend, marks) {
  const found = [...scores.values()];
  const [low, high] = [Math.min(...found), Math.max(...found)];
  const shade = new Uint8Array(told.n);
  for (const [n, score] of scores) {
    shade[n] = 1 + Math.round(((score - low) / (high - low || 1)) * (N_SHADES - 1));
  }
  plane.paint(shade, [colour("rest"), ...ramp(["low", "middle", "high"].map(colour))], marks);
  if (!found.length) return;
  const scale = element("span", {}, low.toFixed(3), element("i", { className: "scale" }), high.toFixed(3));
  legend.append(element("span", {}, "score"), scale);
  if (found.length < told.n) {
    legend.append(element("span", {}, element("i", { className: "rest" }), "not among the best"));
  }
}

/** Shades between three colours. */
function ramp(stops) {
  const parts = stops.map((stop) => stop.match(/[\d.]+/g).slice(0, 3).map(Number));
  return [...Array(N_SHADES).keys()].map((n) => {
    const at = (n / (N_SHADES - 1)) * 2;
    const from = Math.min(1, Math.floor(at));
    const mixed = parts[from].map((part, c) => Math.round(part + (parts[from + 1][c] - part) * (at - from)));
    return `rgb(${mixed.join(" ")})`;
  });
}

async function score() {
  byId("fault").hidden = true;
  history.replaceState(null, "", toAddress(state, "map.html"));
  byId("to-search").href = toAddress(state);
  if (isEmpty(state)) {
    scores = null;
    fillColours("");
    return introduce();
  }
  say("Searching…");
  try {
    const picture = state.picture ? await find(state.picture) : null;
    const answer = await service.search(state, picture, { top_k: N_SCORED, target: "image" });
    const places = new Map(told.ids.map((id, n) => [id, n]));
    const found = answer.results.filter((result) => places.has(result.id));
    scores = new Map(found.map((result) => [places.get(result.id), result.score]));
    fillColours(SCORE);
    const best = found.slice(0, 3).map((result) => result.filename || result.id.slice(0, 12));
    say(best.length ? `${scores.size.toLocaleString()} pictures are coloured by their score. Best: ${best.join(", ")}`
      : "Nothing here fits.");
  } catch (error) {
    introduce();
    showFault(error);
  }
}

function fillColours(wanted) {
  const names = [...(scores ? [SCORE] : []), ...Object.keys(told.groups)];
  const options = names.map((name) => element("option", { value: name }, `Colour by ${name}`));
  byId("colour").replaceChildren(...options, element("option", { value: "" }, "One colour"));
  byId("colour").value = wanted || names[0] || "";
  paint();
}

// -- looking at one

function look(n) {
  plane.current = n;
  plane.draw();
  canvas.classList.toggle("picks", n >= 0);
  byId("card").hidden = n < 0;
  if (n < 0) return;
  const score = scores?.get(n);
  byId("card-name").textContent = score === undefined ? nameOf(n) : `${nameOf(n)} · ${score.toFixed(3)}`;
  service.show(byId("card-picture"), `/thumbnails/${told.ids[n]}`);
  placeCard(n);
}

function placeCard(n) {
  const card = byId("card");
  const [left, top] = besidePoint(plane, n, card.offsetWidth, card.offsetHeight);
  card.style.transform = `translate(${left}px, ${top}px)`;
}

// -- selecting

function select(points) {
  chosen = points;
  plane.selected = new Set(points);
  plane.draw();
  listed = 0;
  byId("grid").replaceChildren();
  byId("selected").hidden = points.length === 0;
  byId("selected-title").textContent = `Selected: ${counted(points.length)}`;
  list();
  say(points.length ? `${counted(points.length)} selected, listed below the map` : "Nothing selected");
}

function list() {
  const tiles = chosen.slice(listed, listed + N_LISTED).map((n) => {
    const img = element("img", { loading: "lazy", decoding: "async", alt: "", width: 128, height: 128 });
    service.show(img, `/thumbnails/${told.ids[n]}`);
    const link = element("a", { href: similarTo(n) }, img);
    link.setAttribute("aria-label", `Similar to ${nameOf(n)}`);
    return element("li", { className: "tile" }, link);
  });
  byId("grid").append(...tiles);
  listed += tiles.length;
  byId("more").hidden = listed >= chosen.length;
}

const all = () => [...told.ids.keys()];
const selectInside = (line) => select(all().filter((n) => isInside(line, plane.x[n], plane.y[n])));

function toggle(n) {
  if (n >= 0) select(chosen.includes(n) ? chosen.filter((other) => other !== n) : [...chosen, n]);
}

// -- mouse, fingers, keys

const lassoes = (on = canvas.classList.contains("lassoes")) => {
  canvas.classList.toggle("lassoes", on);
  byId("lasso").setAttribute("aria-pressed", String(on));
  return on;
};

function listen() {
  steer(plane, {
    look,
    tell: () => say(byId("card-name").textContent),
    open: (n) => (location.href = similarTo(n)),
    lassoes,
    enclose: selectInside,
    toggle,
    clear: () => select([]),
  });
  byId("closer").addEventListener("click", () => plane.zoomAt(ZOOM));
  byId("further").addEventListener("click", () => plane.zoomAt(1 / ZOOM));
  byId("whole").addEventListener("click", () => plane.showAll());
  byId("lasso").addEventListener("click", () => lassoes(!lassoes()));
  byId("in-view").addEventListener("click", () => {
    select(all().filter((n) => plane.isInView(n)));
    byId("selected-title").focus();
  });
  byId("none").addEventListener("click", () => {
    select([]);
    canvas.focus();
  });
  byId("more").addEventListener("click", list);
  byId("colour").addEventListener("change", paint);
  onTheme(paint);
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  state = { ...NOTHING, where: state.where, words: byId("words").value.trim() };
  if (told) score();
});
const again = () => (told ? score() : begin());
listenForKey(again);
byId("look-again").addEventListener("click", begin);
byId("retry").addEventListener("click", again);

// -- beginning

function introduce() {
  const how = told.method === "umap" ? "UMAP: similar pictures are close together" : "their first two principal components";
  say(told.n ? `${counted(told.n)}, laid out by ${how}` : "The collection has no pictures yet.");
}

function showTools(isShown) {
  for (const id of ["search", "map-keys", "plane"]) byId(id).hidden = !isShown;
}

async function begin() {
  byId("fault").hidden = byId("none-yet").hidden = true;
  byId("words").value = state.words;
  try {
    told = await service.map();
  } catch (error) {
    say("");
    showTools(false);
    if (error.message.startsWith("there is no map")) byId("none-yet").hidden = false; // and not one that is damaged
    else showFault(error);
    return;
  }
  showTools(true);
  byId("about").textContent = `Map of ${told.collection}`;
  byId("outdated").hidden = !told.outdated;
  canvas.setAttribute("aria-label", `Map of ${counted(told.n)}`);
  plane = new Plane(canvas, told.x, told.y);
  listen();
  introduce();
  fillColours("");
  if (!isEmpty(state)) score();
}

begin();
