// The confusion of classes: from which classes the 15 nearest of each class's pictures come.

import { drawing, figure, mark, shortened, svg, text } from "./playground-chart.js";
import { metricName, modelName } from "./playground-data.js";
import { roam } from "./playground-keys.js";
import { unmeasured } from "./playground-models.js";

const N_SHOWN = 40; // classes; of more, those that are confused most
const [LEFT, TOP, CELL_PX, WIDEST_PX] = [128, 118, 15, 34];

export async function show({ experiment, result, width, link }) {
  if (!experiment.classes.length) return [unmeasured()];
  const { neighbours } = await experiment.neighbours(result);
  const shares = confusion(experiment.pictures, experiment.classes.length, neighbours);
  const all = [...experiment.classes.keys()].filter((place) => shares[place]);
  const shown = all.toSorted((a, b) => shares[a][a] - shares[b][b]).slice(0, N_SHOWN);
  shown.sort((a, b) => a - b);
  const others = shown.length < experiment.classes.length;
  const rows = shown.map((place) => {
    const row = shown.map((other) => shares[place][other]);
    return others ? [...row, Math.max(0, 1 - row.reduce((sum, share) => sum + share, 0))] : row;
  });
  const [from, to] = [shown.map((place) => experiment.classes[place]), shown.map((place) => experiment.classes[place])];
  if (others) to.push("others");
  const layer = experiment.layerOf(result).name;
  const title = "Which classes the nearest pictures come from";
  const subtitle = `${experiment.name}, ${modelName(experiment.models[result.model])}, ${layer}, ${metricName(experiment.metrics[result.metric])} distance.`;
  const help = `A row is a class searched with, and adds up to 100 %.${others ? ` The ${shown.length} most confused of ${experiment.classes.length} classes.` : ""}`;
  const drawn = matrix({ title, subtitle: `${subtitle} ${help}`, from, to, rows, width, link });
  const table = {
    columns: ["class", ...to],
    rows: rows.map((row, n) => [from[n], ...row.map((share) => share.toFixed(4))]),
  };
  return [figure({ title, subtitle, help, drawn, table, name: `${experiment.name}-confusion` })];
}

/** Of each class that has pictures, the share of its pictures' neighbours by their class. A row sums to 1. */
export function confusion(pictures, n, neighbours) {
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
  const cell = Math.max(CELL_PX, Math.min(WIDEST_PX, (width - LEFT - 4) / to.length));
  const drawn = drawing(LEFT + to.length * cell + 4, TOP + from.length * cell + 4, title, subtitle);
  const named = (words) => shortened(words, 16);
  to.forEach((name, column) => {
    const x = LEFT + (column + 0.5) * cell;
    drawn.append(text(0, 0, named(name), { class: "layer", transform: `translate(${x + 4} ${TOP - 8}) rotate(-60)` }));
  });
  rows.forEach((row, place) => {
    const y = TOP + place * cell;
    drawn.append(text(LEFT - 8, y + cell / 2 + 4, named(from[place]), { class: "layer", "text-anchor": "end" }));
    row.forEach((share, column) => {
      const label = `${from[place]} finds ${to[column]}: ${percent(share)}`;
      const x = LEFT + column * cell;
      const inside =
        share >= 0.005 && cell >= 26
          ? [
              text(x + cell / 2, y + cell / 2 + 4, String(Math.round(100 * share)), {
                class: share > 0.5 ? "value over" : "value",
                "text-anchor": "middle",
              }),
            ]
          : [];
      const square = svg("rect", { class: "paper", x: x + 0.5, y: y + 0.5, width: cell - 1, height: cell - 1, rx: 2 });
      const fill = svg("rect", {
        class: from[place] === to[column] ? "right" : "wrong",
        "fill-opacity": shade(share),
        x: x + 0.5,
        y: y + 0.5,
        width: cell - 1,
        height: cell - 1,
        rx: 2,
      });
      drawn.append(
        mark(
          label,
          `cell ${place} ${column}`,
          link({ view: "pictures", class: from[place], order: "worst", picture: "", own: "" }),
          false,
          square,
          fill,
          ...inside,
        ),
      );
    });
  });
  roam(drawn, ".mark");
  return drawn;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const shade = (share) => (share ? (0.06 + 0.94 * share ** 0.7).toFixed(3) : 0);
