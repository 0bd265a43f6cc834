// Models side by side: for each a panel with one bar a layer, all on one scale.

import { element, svg } from "./dom.js";
import { drawing, figure, mark, shortened, text } from "./playground-chart.js";
import { metricName, modelName, written } from "./playground-data.js";
import { roam } from "./playground-keys.js";
import { choice } from "./playground-parts.js";

const [PANEL_PX, BAR_PX, GAP_PX] = [270, 52, 28]; // the narrowest panel, the widest bar with its gap, between panels
const [LEFT, TOP, PLOT, BELOW] = [34, 58, 170, 70];
const ROOMY_PX = 38; // bars at least as wide have their values above them

export function show({ experiment, state, result, width, link, go }) {
  const measure = experiment.measures.find(({ key }) => key === state.measure) ?? experiment.measures[0];
  if (!measure) return [unmeasured()];
  const metric = experiment.metrics[result.metric];
  const all = experiment.results.filter((one) => one.metric === result.metric);
  const best = experiment.best(measure, all);
  const bestName = `${modelName(experiment.models[best.model])}, ${experiment.layerOf(best).name}`;
  const subtitle = `${experiment.name}, ${metricName(metric)} distance. Best: ${bestName}, ${written(measure, measure.of(best))}.`;
  const title = `${measure.name} by layer`;
  const panels = panelsOf(experiment, all, measure, width);
  const drawn = drawing(panels.width, panels.height, title, `${subtitle} One panel a model, one bar a layer.`);
  panels.places.forEach((place, model) => {
    const own = all.filter((one) => one.model === model);
    drawn.append(panel({ experiment, measure, own, best, result, link, place, wide: panels.wide }));
  });
  roam(drawn, ".mark");
  const options = experiment.measures.map(({ key, name }) => [key, name]);
  const chooser = choice("measure", "Measure", options, measure.key, (value) => go({ measure: value }));
  const rows = all.map((one) => [
    experiment.models[one.model].name,
    experiment.layerOf(one).name,
    metric,
    measure.of(one) ?? "",
  ]);
  const table = { columns: ["model", "layer", "metric", measure.name], rows };
  const help = measure.chance ? "The dashed line is what a random order would reach." : "";
  return [
    figure({ title, subtitle, help, drawn, table, name: `${experiment.name}-${measure.key}-by-layer`, extra: [chooser] }),
  ];
}

export const unmeasured = () =>
  element(
    "p",
    { className: "empty" },
    "Nothing was measured on this set: it has neither classes nor captions. Put the pictures into one folder for each class.",
  );

/** Where the panels of the models go: as many side by side as fit. */
function panelsOf(experiment, all, measure, width) {
  const layers = Math.max(...experiment.models.map((model) => model.layers.length));
  const columns = Math.max(1, Math.min(experiment.models.length, Math.floor((width + GAP_PX) / (PANEL_PX + GAP_PX))));
  const wide = Math.min((width + GAP_PX) / columns - GAP_PX, LEFT + layers * BAR_PX);
  const high = TOP + PLOT + BELOW;
  const places = experiment.models.map((_, n) => [(n % columns) * (wide + GAP_PX), Math.floor(n / columns) * high]);
  return {
    wide,
    places,
    width: columns * (wide + GAP_PX) - GAP_PX,
    height: Math.ceil(experiment.models.length / columns) * high,
  };
}

function panel({ experiment, measure, own, best, result, link, place: [x, y], wide }) {
  const at = (value) => TOP + PLOT * (1 - value / measure.most);
  const model = experiment.models[own[0].model];
  const step = (wide - LEFT) / model.layers.length;
  const top = experiment.best(measure, own);
  const lines = [0, 0.25, 0.5, 0.75, 1].map((part) => part * measure.most);
  const grid = lines.flatMap((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: wide, y1: at(value), y2: at(value) }),
    text(LEFT - 6, at(value) + 4, String(value), { class: "tick", "text-anchor": "end" }),
  ]);
  const bars = own.map((one) => {
    const value = measure.of(one) ?? 0;
    const [left, bar] = [LEFT + one.layer * step, Math.min(BAR_PX, step)];
    const layer = model.layers[one.layer].name;
    const isBest = one === best;
    const label = `${modelName(model)}, ${layer}: ${written(measure, measure.of(one))}${isBest ? ", the best" : ""}`;
    const [middle, inner] = [left + step / 2, bar * 0.74];
    const above = (words, y) =>
      text(middle, y, words, { class: one === top ? "value top" : "value", "text-anchor": "middle" });
    const said = one === top || bar >= ROOMY_PX ? [above(written(measure, measure.of(one)), at(value) - 6)] : [];
    if (isBest) said.push(above("★", at(value) - 20));
    const kind = ["bar", one === top && "top", one === result && "chosen"].filter(Boolean).join(" ");
    return mark(
      label, `bar ${one.model} ${one.layer}`, link({ model: model.name, layer }), one === result,
      svg("rect", { class: "hit", x: left, y: TOP - 34, width: step, height: PLOT + 34 }),
      svg("rect", { class: kind, x: middle - inner / 2, y: at(value), width: inner, height: Math.max(0.5, at(0) - at(value)), rx: 3 }),
      ...said,
      text(0, 0, shortened(layer, 13), { class: one === result ? "layer chosen" : "layer", "text-anchor": "end", transform: `translate(${middle + 4} ${at(0) + 14}) rotate(-38)` }),
    ); // prettier-ignore
  });
  const chance = measure.chance
    ? [svg("line", { class: "chance", x1: LEFT, x2: wide, y1: at(measure.chance), y2: at(measure.chance) })]
    : [];
  const heading = text(0, 16, shortened(modelName(model), Math.floor(wide / 8)), { class: "heading" });
  return svg("g", { transform: `translate(${x} ${y})` }, heading, ...grid, ...bars, ...chance);
}
