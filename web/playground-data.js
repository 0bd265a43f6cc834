// The files of experiments: their results, neighbours and positions. Every URL is relative, as the folder may be anywhere.

import * as service from "./service.js";

const ROOT = "playground/data/";
const FORMAT = 1;
export const N_NEAREST = 15;
export const WEIGHTS = [...Array(N_NEAREST).keys()].map((rank) => (N_NEAREST - rank) / N_NEAREST);
const N_KEPT = 24; // files of neighbours, some megabytes each for a large set

/** The JSON file of a path. */
async function json(path) {
  let blob;
  try {
    blob = await service.bytes(path);
  } catch (error) {
    if (error.status !== 404) throw error;
    throw new service.Fault(`${path} is missing. Export the experiment again, or look at what serves this page.`, 404);
  }
  try {
    return JSON.parse(await blob.text());
  } catch (error) {
    throw new service.Fault(`${path} is not valid JSON (${error.message}). Export the experiment again.`, 0);
  }
}

/** The list of experiments, as {live, experiments}; an empty one if there is no list. */
export async function list() {
  try {
    return await json(`${ROOT}index.json`);
  } catch (error) {
    if (error.status === 404) return { live: false, experiments: [] };
    throw error;
  }
}

/** Where the files of an experiment are. */
export const folderOf = (name) => `${ROOT}${encodeURIComponent(name)}/`;

/** The experiment of a name. */
export async function open(name) {
  const path = `${folderOf(name)}experiment.json`;
  const told = await json(path);
  if (told.format !== FORMAT) {
    throw new service.Fault(
      `${path} has format ${told.format}, this page reads ${FORMAT}: use the page of the same version.`,
      0,
    );
  }
  return new Experiment(name, told);
}

class Experiment {
  constructor(name, told) {
    this.folder = folderOf(name);
    this.told = told;
    this.name = name;
    this.classes = told.set.classes;
    ({ pictures: this.pictures, models: this.models, metrics: this.metrics, results: this.results } = told);
    // how many pictures each class has
    this.sizes = this.classes.map((_, place) => this.pictures.filter((one) => one.class === place).length);
    this.measures = measuresOf(this);
    this.files = new Map();
  }

  layerOf(result) {
    return this.models[result.model].layers[result.layer];
  }

  result(model, layer, metric) {
    return this.results.find((one) => one.model === model && one.layer === layer && one.metric === metric);
  }

  /** The best of results by a measure, the first of equals. */
  best(measure, results = this.results) {
    const value = (result) => measure?.of(result) ?? -Infinity;
    return results.reduce((best, one) => (value(one) > value(best) ? one : best), results[0]);
  }

  className(n) {
    return this.classes[this.pictures[n].class] ?? "";
  }

  /** The indices of a class's pictures, or of all. */
  picturesOf(name) {
    const all = [...this.pictures.keys()];
    return name ? all.filter((n) => this.className(n) === name) : all;
  }

  thumbnail(n) {
    return `${this.folder}pictures/${n}.jpg`;
  }

  /** The 15 nearest of every picture: {neighbours, distances, scores}. */
  neighbours({ model, layer, metric }) {
    return this.file(`neighbours/${model}-${layer}-${metric}.json`);
  }

  /** A position from 0 to 1 for every picture: {x, y}. */
  positions({ model, layer }) {
    return this.file(`umap/${model}-${layer}.json`);
  }

  file(name) {
    const kept = this.files.get(name) ?? json(this.folder + name);
    this.files.delete(name);
    this.files.set(name, kept); // the latest last
    if (this.files.size > N_KEPT) this.files.delete(this.files.keys().next().value);
    kept.catch(() => this.files.delete(name)); // what failed is asked for again
    return kept;
  }
}

/** What was measured, as {key, name, short, of(result), most, digits, chance}; `chance` is its expected value without a model. */
function measuresOf({ sizes, pictures, results }) {
  const has = ({ of }) => results.some((result) => Number.isFinite(of(result)));
  const scored = sizes.filter((n) => n > 1); // a picture that is alone in its class has no score
  const [right, all] = [scored.reduce((sum, n) => sum + n * (n - 1), 0), scored.reduce((sum, n) => sum + n, 0)];
  const chance = right / (all * (pictures.length - 1) || 1);
  const share = { most: 1, digits: 3 };
  const ks = (pick) => [...new Set(results.flatMap((result) => Object.keys(pick(result) ?? {})))].sort((a, b) => a - b);
  const recalls = [["t2i", "text to picture"], ["i2t", "picture to text"]]; // prettier-ignore
  return [
    { key: "score", name: "Search score", of: (r) => r.search_score, most: 100, digits: 1, chance: 100 * chance },
    ...ks((r) => r.precision).map((k) => ({
      key: `p${k}`,
      name: `Precision@${k}`,
      short: `P@${k}`,
      of: (r) => r.precision?.[k],
      ...share,
      chance,
    })),
    { key: "map", name: "MAP", of: (r) => r.map, ...share },
    ...recalls.flatMap(([way, name]) =>
      ks((r) => r.recall?.[way]).map((k) => ({
        key: `${way}${k}`,
        name: `Recall@${k}, ${name}`,
        short: `R@${k} ${way}`,
        of: (r) => r.recall?.[way]?.[k],
        ...share,
      })),
    ),
  ].filter(has);
}

/** A measured value as text, "–" if there is none. */
export const written = (measure, value) => (Number.isFinite(value) ? value.toFixed(measure.digits) : "–");

const METRICS = { cosine: "cosine", euclidean: "Euclidean", sqeuclidean: "squared Euclidean" };
/** A metric's name for people. */
export const metricName = (metric) => METRICS[metric] ?? metric.replace(/^minkowski:/, "Minkowski, p = ");
/** A model's name for people. */
export const modelName = (model) => (model.trained === false ? `${model.name} (untrained)` : model.name);
