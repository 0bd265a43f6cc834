// Choosing a model for search: recall against cost, skills, pairs with their differences, and the queries that tell models apart.

import { bars } from "./choosing-skills.js";
import { COSTS, measureName } from "./choosing-measures.js";
import { LEVEL, pairTable, queries, sentences } from "./choosing-pairs.js";
import { scatter } from "./choosing-scatter.js";
import { counted, element } from "./dom.js";
import { figure } from "./playground-chart.js";
import { choice } from "./playground-parts.js";
import { saveCsv } from "./playground-save.js";
import { Fault, bytes } from "./service.js";

const FORMAT = 1;
const FIRST = ["t2i_r10", "i2i_map"]; // the measure that is shown first

/**
 * Shows the comparison of a folder, whose URL ends with a slash; rejects with a Fault if there is none.
 *
 * `change` is called with what the user chooses: the measure, the cost or the pair. What is returned has `show(chosen)`.
 */
export async function show(root, folder, change) {
  addStyle();
  const page = new Page(root, folder, await open(folder), change);
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (!root.contains(page.charts) || !root.clientWidth || root.clientWidth === width) return;
    width = root.clientWidth;
    page.drawCharts();
  }).observe(root);
  return page;
}

async function open(folder) {
  const path = `${folder}comparison.json`;
  const text = await (await bytes(path)).text();
  let told;
  try {
    told = JSON.parse(text);
  } catch (error) {
    throw new Fault(`${path} is not valid JSON (${error.message}). Write it again with evaluate --compare --out.`, 0);
  }
  if (told.format !== FORMAT) throw new Fault(`${path} has format ${told.format}, this page reads ${FORMAT}: use the page of the same version.`, 0);
  for (const one of told.differences) one.ranks = one.ranks.map((rank) => rank ?? Infinity); // null: not found
  return told;
}

function addStyle() {
  const href = new URL("./choosing.css", import.meta.url).href;
  if (!document.querySelector(`link[href="${href}"]`)) document.head.append(element("link", { rel: "stylesheet", href }));
}

class Page {
  constructor(root, folder, told, change) {
    Object.assign(this, { root, folder, told, change, models: told.models });
    this.measures = [...new Set(told.models.flatMap(({ measures }) => Object.keys(measures)))];
    this.costs = COSTS.filter(({ key }) => told.models.some((model) => Number.isFinite(model[key])));
    this.pairs = [...new Set(told.pairs.map(({ a, b }) => `${a},${b}`))];
  }

  /** Shows a measure, a cost and a pair, "a,b"; the first of what it does not have, and all pairs. */
  show({ measure = "", cost = "", pair = "" }) {
    this.measure = [measure, ...FIRST].find((one) => this.measures.includes(one)) ?? this.measures[0];
    this.cost = this.costs.find(({ key }) => key === cost) ?? this.costs[0];
    this.pair = this.pairs.includes(pair) ? pair : "";
    if (!this.charts) this.draw();
    const chosen = { measure: this.measure, cost: this.cost?.key ?? "", pair: this.pair };
    for (const select of this.root.querySelectorAll("select")) select.value = chosen[select.id.slice("choosing-".length)];
    this.drawCharts();
    this.drawPairs();
  }

  draw() {
    const { set, bootstrap } = this.told;
    const name = set.split ? `${set.name}, split ${set.split}` : set.name;
    const size = [counted(set.n_pictures, "picture"), ...(set.n_captions ? [counted(set.n_captions, "caption")] : [])].join(" with ");
    const about = `${name}: ${size}. Intervals are of ${100 * bootstrap.confidence}%, from ${bootstrap.samples.toLocaleString("en")} bootstrap samples of the pictures. Speeds are rough.`;
    const controls = element(
      "div",
      { className: "controls" },
      choice("choosing-measure", "Measure", this.measures.map((key) => [key, measureName(key)]), this.measure, (value) => this.change({ measure: value })),
      choice("choosing-cost", "Against", this.costs.map(({ key, name: of }) => [key, of]), this.cost?.key, (value) => this.change({ cost: value })),
    ); // prettier-ignore
    this.charts = element("div");
    this.compared = element("div");
    this.root.classList.add("choosing");
    this.root.replaceChildren(element("h2", {}, "Choosing a model"), element("p", { className: "quiet" }, about), controls, this.charts, this.pairPart());
  }

  drawCharts() {
    const { models, measure, cost, told } = this;
    const width = Math.max(280, Math.min(this.root.clientWidth, 960));
    const parts = [];
    if (cost) {
      const { drawn, title, about, best } = scatter(models, measure, cost, width);
      const names = new Set([...best].map(({ model }) => model.name));
      const columns = ["", "model", "precision", measure, "low", "high", ...COSTS.map(({ key }) => key), "Pareto front"];
      const rows = models.map((model, n) => {
        const { value, low, high } = model.measures[measure] ?? {};
        return [n + 1, model.name, model.precision, value, low, high, ...COSTS.map(({ key }) => model[key]), names.has(model.name) ? "yes" : "no"];
      });
      const help = "Filled points are on the Pareto front: no other model is better in one respect and as good in the other.";
      parts.push(figure({ title, subtitle: about, help, drawn, table: { columns, rows }, name: `${told.set.name}-${measure}-${cost.key}` }));
    }
    parts.push(legend(models));
    if (models.some(({ skills }) => Object.keys(skills).length)) {
      const { drawn, title, table } = bars(models, width);
      parts.push(figure({ title, subtitle: "Shares with their intervals; the dashed line is chance.", drawn, table, name: `${told.set.name}-skills` }));
    }
    this.charts.replaceChildren(...parts);
  }

  pairPart() {
    if (!this.pairs.length) return "";
    const nameOf = (key) => key.split(",").map((n) => this.models[n].name).join(" and "); // prettier-ignore
    const options = [["", "All pairs"], ...this.pairs.map((key) => [key, nameOf(key)])];
    const chooser = choice("choosing-pair", "Pair", options, this.pair, (value) => this.change({ pair: value }));
    const csv = element("button", { type: "button", className: "plain" }, "Download CSV");
    csv.addEventListener("click", () => {
      const { columns, rows } = pairTable(this.told.pairs, this.models);
      saveCsv(columns, rows, `${this.told.set.name}-pairs`);
    });
    return element("section", { className: "pairs" }, element("h2", {}, "Differences"), element("div", { className: "controls" }, chooser, csv), this.compared);
  }

  drawPairs() {
    const { told, models, pair } = this;
    const chosen = told.pairs.filter(({ a, b, measure }) => (pair ? `${a},${b}` === pair : measure === this.measure));
    const title = pair ? "By all measures" : measureName(this.measure);
    const note = `“Better” means p < ${String(LEVEL).slice(1)} in a paired randomization test over pictures. The p-values are not corrected for the number of comparisons.`;
    const parts = [element("h3", {}, title), sentences(chosen, models, Boolean(pair)), element("p", { className: "quiet" }, note)];
    if (told.differences.length) {
      parts.push(element("h2", {}, "Queries on which they differ"));
      parts.push(...queries(told.differences, models, pair ? pair.split(",").map(Number) : null, this.folder));
    }
    this.compared.replaceChildren(...parts);
  }
}

function legend(models) {
  const item = ({ name, weights_hash: hash, dim }) => element("li", {}, name, " ", element("small", {}, `${hash.slice(0, 12)}, ${dim} dimensions`));
  return element("ol", { className: "legend" }, ...models.map(item));
}
