// The playground: what a model, a layer and a metric do with a set of pictures. Its state is in the address.

import * as alert from "./alert.js";
import { byId, element } from "./dom.js";
import { showAbout, showFigures } from "./playground-about.js";
import * as classes from "./playground-classes.js";
import { folderOf, list, metricName, modelName, open } from "./playground-data.js";
import * as layers from "./playground-layers.js";
import * as map from "./playground-map.js";
import * as models from "./playground-models.js";
import * as own from "./playground-own.js";
import * as pictures from "./playground-pictures.js";
import { fromHash, missing, resultOf, toHash } from "./playground-state.js";
import * as table from "./playground-table.js";
import * as service from "./service.js";

const VIEWS = { pictures, models, layers, classes, map, table };
const CHOOSING = "choosing";
const view = byId("view");

let listed = null; // {live, experiments}
let experiment = null;
let context = null; // what the views are given
let turn = 0; // the number of the latest address; an answer to an earlier one is dropped
let mounted = ""; // the experiment whose comparison is shown
let choosing = null; // the page of choosing.js that shows it

// -- from the address to the page

async function show() {
  const mine = ++turn;
  view.setAttribute("aria-busy", "true");
  try {
    listed ??= await list();
    byId("to-search").hidden = !listed.live;
    if (!listed.experiments.length) return empty();
    const state = fromHash(location.hash);
    const entry = listed.experiments.find(({ name }) => name === state.set) ?? listed.experiments[0];
    if (experiment?.name !== entry.name) {
      const found = await openOne(entry);
      if (mine !== turn) return;
      experiment = found;
    }
    await showState(state, entry, mine);
  } catch (error) {
    if (mine === turn) showFault(error);
  } finally {
    if (mine === turn) view.removeAttribute("aria-busy");
  }
}

/** The experiment of an entry; null where there is only a comparison. */
async function openOne(entry) {
  try {
    return await open(entry.name);
  } catch (error) {
    if (entry.comparison && error.status === 404) return null;
    throw error;
  }
}

async function showState(state, entry, mine) {
  byId("fault").hidden = true;
  const wanted =
    Object.hasOwn(VIEWS, state.view) || (state.view === CHOOSING && entry.comparison) ? state.view : "pictures";
  const named = experiment ? missing(state, experiment) : [];
  if (state.set && state.set !== entry.name) named.unshift(`There is no set “${state.set}”.`);
  byId("notice").textContent = named.join(" ");
  const result = experiment && resultOf(state, experiment);
  const full = { ...state, set: entry.name, view: experiment ? wanted : CHOOSING, ...(result ? namesOf(result) : {}) };
  if (toHash(full) !== location.hash) history.replaceState(null, "", toHash(full));
  const link = (changes) => toHash({ ...full, ...changes });
  const go = (changes, replaces) => (replaces ? location.replace(link(changes)) : (location.hash = link(changes)));
  context = { experiment, state: full, result, link, go, live: listed.live, width: view.clientWidth };
  fillChoices(entry);
  document.title = `${[full.view, entry.title || entry.name].join(" – ")} – Playground`;
  byId("choosing").hidden = full.view !== CHOOSING;
  if (full.view === CHOOSING) return choose(entry, mine);
  const nodes = await VIEWS[full.view].show(context);
  if (mine === turn) place(nodes);
}

/** Puts a view into the page; what had the focus keeps it. A function among the nodes is called when they are in place. */
function place(nodes) {
  const key = document.activeElement?.closest?.("[data-key]")?.dataset.key;
  const before = byId("chosen-title")?.textContent;
  view.replaceChildren(...nodes.filter((node) => typeof node !== "function"));
  for (const node of nodes) if (typeof node === "function") node();
  const title = byId("chosen-title");
  if (title && title.textContent !== before) {
    title.focus({ preventScroll: true });
    if (byId("chosen").getBoundingClientRect().top < 0) byId("chosen").scrollIntoView();
  } else if (key) document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

const namesOf = (result) => ({
  model: experiment.models[result.model].name,
  layer: experiment.layerOf(result).name,
  metric: experiment.metrics[result.metric],
});

/** The comparison of models for search, by a module of its own. */
async function choose(entry, mine) {
  view.replaceChildren();
  if (mounted === entry.name) return choosing?.show(context.state);
  const module = await import("./choosing.js");
  if (mine !== turn) return;
  [mounted, choosing] = [entry.name, null];
  byId("choosing").replaceChildren();
  try {
    const made = await module.show(byId("choosing"), folderOf(entry.name), (changes) => context.go(changes));
    if (mounted === entry.name) (choosing = made).show(context.state);
  } catch (error) {
    mounted = ""; // the next visit tries again
    throw error;
  }
}

// -- choosers, tabs and figures

function fillChoices(entry) {
  const { state, result, go, link } = context;
  const fill = (id, options, value) => {
    byId(id).replaceChildren(...options.map(([key, label]) => element("option", { value: key }, label)));
    byId(id).value = value;
  };
  fill("set", listed.experiments.map(({ name, title }) => [name, title || name]), entry.name); // prettier-ignore
  byId("choosers").classList.toggle("single", !experiment);
  byId("figures").hidden = !experiment;
  const tabs = Object.keys(VIEWS).filter(
    (name) => experiment && (experiment.classes.length || !["layers", "classes"].includes(name)),
  );
  for (const tab of byId("views").children) {
    const { view: name } = tab.dataset;
    tab.hidden = name === CHOOSING ? !entry.comparison : !tabs.includes(name);
    tab.href = link({ view: name });
    if (name === state.view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
    if (name === state.view) byId("views").scrollLeft = tab.offsetLeft - byId("views").clientWidth / 2;
  }
  if (!experiment) return;
  const model = experiment.models[result.model];
  fill("model", experiment.models.map((one) => [one.name, modelName(one)]), state.model); // prettier-ignore
  fill("layer", model.layers.map(({ name, dim }) => [name, `${name} (${dim})`]), state.layer); // prettier-ignore
  fill("metric", experiment.metrics.map((one) => [one, metricName(one)]), state.metric); // prettier-ignore
  byId("model").onchange = ({ target }) => {
    const has = experiment.models
      .find(({ name }) => name === target.value)
      .layers.some(({ name }) => name === state.layer);
    go({ model: target.value, layer: has ? state.layer : "", own: state.own });
  };
  showFigures(experiment, result);
  showAbout(experiment);
}

for (const id of ["layer", "metric"])
  byId(id).addEventListener("change", ({ target }) => context.go({ [id]: target.value }));
byId("set").addEventListener(
  "change",
  ({ target }) => (location.hash = toHash({ set: target.value, view: context.state.view })),
);

// -- what can go wrong

function empty() {
  byId("choosers").hidden = true;
  byId("figures").hidden = true;
  byId("views").hidden = true;
  view.replaceChildren(
    element(
      "div",
      { className: "empty" },
      element("h2", {}, "No experiments yet"),
      element("p", {}, "Make one from a folder of pictures, with one folder for each class:"),
      element("p", {}, element("code", {}, "crossmodal experiment -d FOLDER --name NAME"), " or"),
      element("p", {}, element("code", {}, "python app.py -t experiment -d FOLDER --name NAME")),
      element("p", {}, "Then reload this page."),
    ),
  );
}

function showFault(error) {
  view.replaceChildren();
  alert.showFault(error);
}

alert.listenForKey(show);
byId("again").addEventListener("click", show);
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the fragment is the state
  view.focus();
});
own.listen(
  () => context,
  (text) => showFault(new service.Fault(text, 0)),
);
addEventListener("hashchange", show);
new ResizeObserver(() => {
  if (context && view.clientWidth !== context.width) show(); // charts are drawn for a width
}).observe(view);
byId("stuck").remove();
show();
