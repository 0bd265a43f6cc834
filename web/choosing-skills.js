// Skills of models as bars with intervals, one group a skill.

import { svg } from "./dom.js";
import { drawing, shortened, text } from "./playground-chart.js";
import { roam } from "./playground-keys.js";
import { short, skillOf, spread } from "./choosing-measures.js";

const [ROW, HEAD, GAP, RIGHT] = [22, 24, 14, 96];

/** The drawing of all skills that a model has. */
export function bars(all, width) {
  const models = all.map((model, n) => ({ ...model, n })).filter(({ skills }) => Object.keys(skills).length);
  const keys = [...new Set(models.flatMap(({ skills }) => Object.keys(skills)))];
  const left = width < 620 ? 26 : 190;
  const at = (value) => left + value * Math.max(80, width - left - RIGHT);
  const group = HEAD + models.length * ROW + GAP;
  const title = "Skills";
  const drawn = drawing(width, keys.length * group, title, "One group a skill, one bar a model. The dashed line is chance.");
  keys.forEach((key, place) => {
    const { name, chance } = skillOf(key);
    const top = place * group + HEAD;
    drawn.append(text(0, top - 8, name, { class: "heading" }));
    models.forEach((model, row) => {
      if (model.skills[key]) drawn.append(bar(model, name, model.skills[key], at, top + row * ROW, left));
    });
    if (chance) drawn.append(svg("line", { class: "chance", x1: at(chance), x2: at(chance), y1: top, y2: top + models.length * ROW }));
  });
  roam(drawn, ".mark");
  const rows = keys.flatMap((key) =>
    models.filter(({ skills }) => skills[key]).map(({ name, skills }) => [name, skillOf(key).name, skills[key].value, skills[key].low, skills[key].high]),
  );
  return { drawn, title, table: { columns: ["model", "skill", "value", "low", "high"], rows } };
}

function bar(model, skill, interval, at, top, left) {
  const middle = top + ROW / 2;
  const label = `${model.name}, ${skill}: ${spread(interval)}`;
  const name = left < 100 ? String(model.n + 1) : shortened(model.name, 28);
  return svg(
    "g",
    { class: "mark", role: "img", "aria-label": label, "data-key": `skill ${skill} ${model.n}` },
    svg("title", {}, label),
    svg("rect", { class: "hit", x: 0, y: top, width: at(1) + RIGHT, height: ROW }),
    svg("rect", { class: "bar", x: at(0), y: top + 4, width: Math.max(0.5, at(interval.value) - at(0)), height: ROW - 8, rx: 3 }),
    svg("line", { class: "whisker", x1: at(interval.low), x2: at(interval.high), y1: middle, y2: middle }),
    ...[interval.low, interval.high].map((end) => svg("line", { class: "whisker", x1: at(end), x2: at(end), y1: middle - 4, y2: middle + 4 })),
    text(left - 8, middle + 4, name, { "text-anchor": "end" }),
    text(at(Math.max(interval.high, interval.value)) + 8, middle + 4, short(interval.value), { class: "value" }),
  );
}
