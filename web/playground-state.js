// The state of the playground, in the fragment of its address, so that any static web server can serve the page.

const FIELDS = [
  "set", "view", "model", "layer", "metric", "measure", "class", "order", "picture", "own", "sort", "off", "cost", "pair",
]; // prettier-ignore

/** The state of a fragment such as `#set=classes&view=models`; a field that it does not name is "". */
export function fromHash(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  return Object.fromEntries(FIELDS.map((field) => [field, given.get(field) ?? ""]));
}

/** The fragment of a state. */
export function toHash(state) {
  const told = new URLSearchParams();
  for (const field of FIELDS) if (state[field]) told.set(field, state[field]);
  return `#${told}`;
}

/** The result of the model, metric and layer that a state names; where it names none, the best of what is left. */
export function resultOf(state, experiment) {
  let left = experiment.results;
  const narrow = (keep) => {
    const kept = left.filter(keep);
    if (kept.length) left = kept;
  };
  narrow((result) => experiment.models[result.model].name === state.model);
  narrow((result) => experiment.metrics[result.metric] === state.metric);
  narrow((result) => experiment.layerOf(result).name === state.layer);
  return experiment.best(experiment.measures[0], left);
}

/** What a state names and the experiment does not have, as sentences. */
export function missing(state, experiment) {
  const model = experiment.models.find(({ name }) => name === state.model);
  const layers = (model ? [model] : experiment.models).flatMap((one) => one.layers.map(({ name }) => name));
  const known = [
    ["model", state.model, experiment.models.map(({ name }) => name)],
    ["layer", state.layer, layers],
    ["metric", state.metric, experiment.metrics],
    ["class", state.class, experiment.classes],
    ["picture", state.picture, experiment.pictures.map(({ id }) => shortId(id))],
  ];
  const wrong = known.filter(([, wanted, names]) => wanted && !names.includes(wanted));
  return wrong.map(([kind, wanted]) => `This set has no ${kind} “${wanted}”.`);
}

/** The start of a picture's id that stands for it in addresses. */
export const shortId = (id) => id.slice(0, 12);
