// The confusion of classes: from which classes the 15 nearest of each class's pictures come.

import { svg } from "./dom.js";
import { drawing, figure, mark, shortened, text } from "./playground-chart.js";
import { metricName, modelName, N_NEAREST } from "./playground-data.js";
import { roam } from "./playground-keys.js";
import { unmeasured } from "./playground-models.js";

const N_SHOWN = 40; // classes; of more, those that are confused most
const [LEFT, TOP, CELL_PX, WIDEST_PX] = [128, 118, 15, 44];
const [TALLEST_PX, WRITTEN_PX] = [820, 24]; // of all rows, and the smallest cell with a number in it

export async function show({ experiment, result, width, link }) {
  if (!experiment.classes.length) return [unmeasured()];
  const { classes, models, metrics, name } = experiment;
  const { neighbours } = await experiment.neighbours(result);
  const shares = confusion(experiment.pictures, classes.length, neighbours);
  const shown = mostConfused(shares);
  const hasOthers = shown.length < classes.length;
  const rows = shown.map((place) => {
    const row = shown.map((other) => shares[place][other]);
    return hasOthers ? [...row, Math.max(0, 1 - row.reduce((sum, share) => sum + share, 0))] : row;
  });
  const from = shown.map((place) => classes[place]);
  const to = hasOthers ? [...from, "others"] : from;
  const title = "Which classes the nearest pictures come from";
  const model = `${modelName(models[result.model])}, ${experiment.layerOf(result).name}`;
  const subtitle = `${name}, ${model}, ${metricName(metrics[result.metric])} distance.`;
  const help = [
    "A row is the class of the pictures searched with, and adds up to 100%.",
    limitOf(experiment),
    hasOthers && `The ${shown.length} most confused of ${classes.length} classes are shown.`,
  ];
  const said = help.filter(Boolean).join(" ");
  const drawn = matrix({ title, subtitle: `${subtitle} ${said}`, from, to, rows, width, link });
  const values = rows.map((row, n) => [from[n], ...row.map((share) => share.toFixed(4))]);
  const table = { columns: ["class", ...to], rows: values };
  return [figure({ title, subtitle, help: said, drawn, table, name: `${name}-confusion` })];
}

/** The classes to show, in their order. */
function mostConfused(shares) {
  const all = [...shares.keys()].filter((place) => shares[place]);
  const worst = all.toSorted((a, b) => shares[a][a] - shares[b][b]).slice(0, N_SHOWN);
  return worst.sort((a, b) => a - b);
}

/** What small classes mean for the diagonal, "" where none is small. */
function limitOf({ sizes }) {
  const smallest = Math.min(...sizes);
  if (smallest > N_NEAREST) return "";
  const most = ((100 * (smallest - 1)) / N_NEAREST).toFixed(0);
  return `In a class of ${smallest}, at most ${most}% of the ${N_NEAREST} nearest can be right.`;
}

/** Of each class that has pictures, the share of its pictures' neighbours by their class. A row sums to 1. */
function confusion(pictures, n, neighbours) {
  const counts = Array.from({ length: n }, () => new Array(n).fill(0));
  neighbours.forEach((near, picture) => {
    const own = pictures[picture].class;
    if (own === null) return;
    for (const other of near) if (pictures[other].class !== null) counts[own][pictures[other].class] += 1;
  });
  return counts.map((row) => {
    const sum = row.reduce((all, count) => all + count, 0);
    return sum ? row.map((count) => count / sum) : null;
  });
}

function matrix({ title, subtitle, from, to, rows, width, link }) {
  const named = (words) => shortened(words, 16);
  const right = 4 + 3.5 * named(to.at(-1)).length; // px that the slanted name of the last column leans over
  const fits = Math.min(WIDEST_PX, (width - LEFT - right) / to.length, TALLEST_PX / from.length);
  const side = Math.max(CELL_PX, fits);
  const drawn = drawing(LEFT + to.length * side + right, TOP + from.length * side + 4, title, subtitle);
  to.forEach((name, column) => {
    const x = LEFT + (column + 0.5) * side;
    drawn.append(text(0, 0, named(name), { class: "layer", transform: `translate(${x + 4} ${TOP - 8}) rotate(-60)` }));
  });
  rows.forEach((row, place) => {
    const y = TOP + place * side;
    const href = link({ view: "pictures", class: from[place], order: "worst", picture: "", own: "" });
    drawn.append(text(LEFT - 8, y + side / 2 + 4, named(from[place]), { class: "layer", "text-anchor": "end" }));
    row.forEach((share, column) => {
      const label = `${from[place]} finds ${to[column]}: ${(100 * share).toFixed(1)}%`;
      const parts = cell(LEFT + column * side, y, side, share, place === column);
      drawn.append(mark(label, `cell ${place} ${column}`, href, false, ...parts));
    });
  });
  roam(drawn, ".mark");
  return drawn;
}

/** A square as dark as its share is large, with the share in percent if there is room. */
function cell(x, y, side, share, isRight) {
  const square = { x: x + 0.5, y: y + 0.5, width: side - 1, height: side - 1, rx: 2 };
  const shade = share ? (0.06 + 0.94 * share ** 0.7).toFixed(3) : 0;
  const kind = isRight ? "right" : "wrong";
  const parts = [
    svg("rect", { class: "paper", ...square }),
    svg("rect", { class: kind, "fill-opacity": shade, ...square }),
  ];
  if (share >= 0.005 && side >= WRITTEN_PX) {
    const style = { class: share > 0.55 ? "value over" : "value inside", "text-anchor": "middle" };
    parts.push(text(x + side / 2, y + side / 2 + 4, String(Math.round(100 * share)), style));
  }
  return parts;
}
