// The layers of a model: the search score of each picture as a point, their mean and their spread.

import { svg } from "./dom.js";
import { drawing, figure, mark, shortened, text } from "./playground-chart.js";
import { metricName, modelName } from "./playground-data.js";
import { roam } from "./playground-keys.js";
import { unmeasured } from "./playground-models.js";
import { shortId } from "./playground-state.js";

const [LEFT, RIGHT, TOP, PLOT, BELOW] = [38, 6, 26, 340, 70];
const [COLUMN_PX, NARROWEST_PX, DOT_PX] = [170, 34, 4.5];

export async function show({ experiment, state, result, width, link }) {
  if (!experiment.classes.length) return [unmeasured()];
  const model = experiment.models[result.model];
  const own = experiment.results.filter((one) => one.model === result.model && one.metric === result.metric);
  const files = await Promise.all(own.map((one) => experiment.neighbours(one)));
  const columns = own.map((one, place) => columnOf(one, model, files[place].scores));
  const step = Math.max(NARROWEST_PX, Math.min(COLUMN_PX, (width - LEFT - RIGHT) / columns.length));
  const picked = experiment.pictures.findIndex(({ id }) => shortId(id) === state.picture);
  const title = `Search scores of all pictures, ${modelName(model)}`;
  const subtitle = `${experiment.name}, ${metricName(experiment.metrics[result.metric])} distance. Each point is a picture.`;
  const drawn = drawing(
    LEFT + columns.length * step + RIGHT,
    TOP + PLOT + BELOW,
    title,
    `${subtitle} One column a layer.`,
  );
  drawn.append(...scale(columns.length * step));
  drawn.append(...columns.map((column, place) => columnMark(column, LEFT + place * step, step, result, link)));
  if (picked >= 0) drawn.append(...wayOf(picked, columns, step));
  roam(drawn, ".mark");
  pointAtPictures(drawn, columns, step, experiment, link);
  const names = columns.map(({ name }) => name);
  const scored = [...experiment.pictures.keys()].filter((n) => columns.some(({ scores }) => scores[n] !== null));
  const rows = scored.map((n) => [
    experiment.pictures[n].path,
    experiment.className(n),
    ...columns.map(({ scores }) => scores[n]),
  ]);
  const table = { columns: ["picture", "class", ...names], rows };
  const help = "The line is the mean, the band one standard deviation on each side. Click a point to see its picture.";
  return [figure({ title, subtitle, help, drawn, table, name: `${experiment.name}-${model.name}-layers` })];
}

function columnOf(result, model, scores) {
  const found = scores.filter((score) => score !== null);
  const mean = found.reduce((sum, score) => sum + score, 0) / found.length;
  const spread = Math.sqrt(found.reduce((sum, score) => sum + (score - mean) ** 2, 0) / found.length);
  return { result, scores, mean, spread, n: found.length, name: model.layers[result.layer].name };
}

const at = (score) => TOP + PLOT * (1 - score / 100);

function scale(wide) {
  return [0, 25, 50, 75, 100].flatMap((value) => [
    svg("line", { class: "grid", x1: LEFT, x2: LEFT + wide, y1: at(value), y2: at(value) }),
    text(LEFT - 8, at(value) + 4, String(value), { class: "tick", "text-anchor": "end" }),
  ]);
}

function columnMark(column, left, step, result, link) {
  const { name, mean, spread, n, scores } = column;
  const middle = left + step / 2;
  column.places = placesOf(scores, step * 0.82);
  const dots = new Set();
  column.places.forEach((x, picture) => {
    if (x !== null) dots.add(`M${(middle + x).toFixed(1)} ${at(scores[picture]).toFixed(1)}h0`); // a round cap makes it a dot
  });
  const isChosen = column.result === result;
  const [high, low] = [Math.min(100, mean + spread), Math.max(0, mean - spread)];
  const label = `${name}: mean ${mean.toFixed(1)}, spread ${spread.toFixed(1)}, ${n.toLocaleString("en")} pictures`;
  return mark(
    label, `layer ${column.result.layer}`, link({ layer: name }), isChosen,
    svg("rect", { class: "hit", x: left, y: TOP - 20, width: step, height: PLOT + 20 }),
    svg("rect", { class: "spread", x: left + step * 0.06, y: at(high), width: step * 0.88, height: at(low) - at(high), rx: 4 }),
    svg("path", { class: "dots", d: [...dots].join("") }),
    svg("line", { class: "mean", x1: left + step * 0.06, x2: left + step * 0.94, y1: at(mean), y2: at(mean) }),
    text(middle, TOP - 10, mean.toFixed(1), { class: isChosen ? "value top" : "value", "text-anchor": "middle" }),
    text(0, 0, shortened(name, 14), { class: isChosen ? "layer chosen" : "layer", "text-anchor": "end", transform: `translate(${middle + 5} ${at(0) + 18}) rotate(-38)` }),
  ); // prettier-ignore
}

/** Where each point is beside the middle of its column: those of one score side by side, closer if they are many. */
function placesOf(scores, wide) {
  const rows = new Map();
  scores.forEach((score, n) => {
    if (score === null) return;
    const row = Math.round(at(score) / DOT_PX);
    if (!rows.has(row)) rows.set(row, []);
    rows.get(row).push(n);
  });
  const places = scores.map(() => null);
  for (const pictures of rows.values()) {
    const gap = Math.min(DOT_PX, wide / pictures.length);
    pictures.forEach((n, place) => (places[n] = (place - (pictures.length - 1) / 2) * gap));
  }
  return places;
}

/** The chosen picture through the layers. */
function wayOf(picked, columns, step) {
  const points = columns
    .map(({ scores, places }, n) => [LEFT + (n + 0.5) * step + places[picked], scores[picked]])
    .filter(([, score]) => score !== null)
    .map(([x, score]) => [x, at(score)]);
  const line = points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  return [
    svg("path", { class: "way", d: line }),
    ...points.map(([cx, cy]) => svg("circle", { class: "picked", cx, cy, r: 5 })),
  ];
}

/** Says which picture the pointer is at, and lets a click open it. */
function pointAtPictures(drawn, columns, step, experiment, link) {
  const nearest = (event) => {
    const box = drawn.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const place = Math.floor((x - LEFT) / step);
    const { scores, places, name } = columns[place] ?? {};
    let [best, least] = [-1, 8];
    places?.forEach((beside, n) => {
      if (beside === null) return;
      const away = Math.hypot(LEFT + (place + 0.5) * step + beside - x, at(scores[n]) - y);
      if (away < least) [best, least] = [n, away];
    });
    return { n: best, layer: name, score: scores?.[best] };
  };
  drawn.addEventListener("pointermove", (event) => {
    const { n, layer, score } = nearest(event);
    drawn.classList.toggle("picks", n >= 0);
    if (n < 0) return;
    const detail = `${experiment.pictures[n].path}: ${score.toFixed(1)} in ${layer}`;
    drawn.dispatchEvent(new CustomEvent("read", { detail }));
  });
  drawn.addEventListener("click", (event) => {
    const { n, layer } = nearest(event);
    if (n < 0 || event.detail === 0) return; // Enter on a column follows its link
    event.preventDefault();
    location.hash = link({ view: "pictures", layer, picture: shortId(experiment.pictures[n].id) });
  });
}
