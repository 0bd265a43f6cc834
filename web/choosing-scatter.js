// Recall against a cost: a point a model with its interval, those on the Pareto front marked, and labels that do not overlap.

import { svg } from "./dom.js";
import { drawing, text } from "./playground-chart.js";
import { roam } from "./playground-keys.js";
import { measureName, short, spread } from "./choosing-measures.js";

const [LEFT, RIGHT, TOP, BELOW, HIGH] = [48, 16, 14, 46, 380];
const NARROW_PX = 620; // below, points have numbers instead of names
const LINE_PX = 16;
const POINT_PX = 7;

/** The models that no other beats in one respect without losing in the other; places in the list. */
export function front(points, isBetterLow) {
  const atLeast = (a, b) => a.y >= b.y && (isBetterLow ? a.x <= b.x : a.x >= b.x);
  return points.filter((one) => !points.some((other) => atLeast(other, one) && !atLeast(one, other)));
}

/** The drawing of models, which have a number and their interval of a measure, over a cost. */
export function scatter(models, measure, cost, width) {
  const points = models
    .map((model, n) => ({ model, n, x: model[cost.key], ...model.measures[measure] }))
    .filter(({ x, value }) => Number.isFinite(x) && Number.isFinite(value))
    .map((point) => ({ ...point, y: point.value }));
  const best = new Set(front(points, cost.isBetterLow));
  const isNarrow = width < NARROW_PX;
  const title = `${measureName(measure)} and ${cost.name.toLowerCase()}`;
  const about = `${points.length} models. On the Pareto front: ${[...best].map(({ model }) => model.name).join(", ") || "none"}.`;
  const drawn = drawing(width, HIGH, title, about);
  if (!points.length) {
    drawn.append(text(LEFT, TOP + 40, "Not measured"));
    return { drawn, title, about, best, points };
  }
  const [x, y] = [horizontal(points, width), vertical(points)];
  drawn.append(...axes(x, y, width, cost, measure));
  drawn.append(frontLine([...best], x, y));
  const obstacles = points.map((point) => barBox(point, x, y));
  for (const point of points) {
    const name = isNarrow ? String(point.n + 1) : point.model.name;
    drawn.append(mark(point, name, { x, y, cost, width, obstacles, isBest: best.has(point) }));
  }
  roam(drawn, ".mark");
  return { drawn, title, about, best, points };
}

/** A scale with `at(value)` in px and `ticks`; logarithmic where the values differ much. */
function horizontal(points, width) {
  const values = points.map(({ x }) => x);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const isLog = least > 0 && most / least > 4;
  const [from, to] = isLog ? [Math.log10(least / 1.6), Math.log10(most * 1.6)] : padded(least, most, 0.15);
  const place = (value) => (isLog ? Math.log10(value) : value);
  const at = (value) => LEFT + ((place(value) - from) / (to - from)) * (width - LEFT - RIGHT);
  const steps = isLog
    ? [...Array(Math.ceil(to) - Math.floor(from) + 1).keys()].flatMap((n) => [1, 2, 5].map((digit) => digit * 10 ** (Math.floor(from) + n)))
    : nice(from, to, width < NARROW_PX ? 4 : 7);
  return { at, ticks: steps.filter((value) => place(value) >= from && place(value) <= to) };
}

function vertical(points) {
  const [from, to] = padded(Math.min(...points.map(({ low }) => low)), Math.max(...points.map(({ high }) => high)), 0.08);
  const at = (value) => TOP + (1 - (value - from) / (to - from)) * (HIGH - TOP - BELOW);
  return { at, ticks: nice(from, to, 6) };
}

function padded(least, most, share) {
  const margin = (most - least) * share || Math.abs(most) * 0.05 || 0.05;
  return [least - margin, most + margin];
}

/** About n round values of a range. */
function nice(from, to, n) {
  const rough = (to - from) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= rough);
  const first = Math.ceil(from / step);
  return [...Array(Math.max(0, Math.floor(to / step) - first + 1)).keys()].map((k) => Number(((first + k) * step).toPrecision(12)));
}

function axes(x, y, width, cost, measure) {
  const bottom = HIGH - BELOW;
  const [across, up] = [[LEFT, width - RIGHT], [TOP, bottom]]; // prettier-ignore
  return [
    ...y.ticks.map((value) => svg("line", { class: "grid", x1: across[0], x2: across[1], y1: y.at(value), y2: y.at(value) })),
    ...y.ticks.map((value) => text(LEFT - 6, y.at(value) + 4, short(value), { "text-anchor": "end" })),
    ...x.ticks.map((value) => svg("line", { class: "grid", y1: up[0], y2: up[1], x1: x.at(value), x2: x.at(value) })),
    ...x.ticks.map((value) => text(x.at(value), bottom + 18, value.toLocaleString("en"), { "text-anchor": "middle" })),
    text((across[0] + across[1]) / 2, HIGH - 8, `${cost.name}${cost.isBetterLow ? " (less is better)" : ""}`, { "text-anchor": "middle" }),
    text(4, TOP - 2, measureName(measure)),
  ];
}

/** A line through the models on the front, by their cost. */
function frontLine(points, x, y) {
  const sorted = [...points].sort((a, b) => a.x - b.x || a.y - b.y);
  return svg("polyline", { class: "front", points: sorted.map((point) => `${x.at(point.x)},${y.at(point.y)}`).join(" ") });
}

const barBox = (point, x, y) => ({
  left: x.at(point.x) - POINT_PX - 1, right: x.at(point.x) + POINT_PX + 1,
  top: Math.min(y.at(point.high), y.at(point.y) - POINT_PX), bottom: Math.max(y.at(point.low), y.at(point.y) + POINT_PX),
}); // prettier-ignore

function mark(point, name, { x, y, cost, width, obstacles, isBest }) {
  const [atX, atY, low, high] = [x.at(point.x), y.at(point.y), y.at(point.low), y.at(point.high)];
  const label = `${point.model.name}: ${spread(point)}, ${cost.name.toLowerCase()} ${point.x.toLocaleString("en")}${isBest ? ", on the Pareto front" : ""}`;
  const box = placed(atX, atY, textWidth(name), width, obstacles);
  obstacles.push(box);
  const leads = Math.hypot((box.left + box.right) / 2 - atX, (box.top + box.bottom) / 2 - atY) > (box.right - box.left) / 2 + 3 * POINT_PX;
  const nearX = Math.max(box.left, Math.min(atX, box.right));
  return svg(
    "g",
    { class: isBest ? "mark best" : "mark", role: "img", "aria-label": label, "data-key": `model ${point.n}` },
    svg("title", {}, label),
    ...(leads ? [svg("line", { class: "lead", x1: atX, y1: atY, x2: nearX, y2: box.top > atY ? box.top : box.bottom })] : []),
    svg("line", { class: "whisker", x1: atX, x2: atX, y1: low, y2: high }),
    ...[low, high].map((end) => svg("line", { class: "whisker", x1: atX - 4, x2: atX + 4, y1: end, y2: end })),
    svg("circle", { class: "hit", cx: atX, cy: atY, r: 14 }),
    svg("circle", { class: "point", cx: atX, cy: atY, r: POINT_PX }),
    text(box.left, box.bottom - 4, name, { class: "name", "paint-order": "stroke" }),
  );
}

/** Where a label goes: the first of ever more distant places that is inside and hits nothing; else the least bad one. */
function placed(atX, atY, wide, width, obstacles) {
  const gap = POINT_PX + 4;
  const candidates = [];
  for (let step = 0; step < 12; step++) {
    for (const dy of step ? [-step * LINE_PX, step * LINE_PX] : [0]) {
      for (const left of [atX + gap, atX - gap - wide, atX - wide / 2]) {
        if (!step && left === atX - wide / 2) continue;
        const top = atY + dy - LINE_PX / 2;
        candidates.push({ left, right: left + wide, top, bottom: top + LINE_PX });
      }
    }
  }
  const isInside = (box) => box.left >= LEFT && box.right <= width - 2 && box.top >= TOP && box.bottom <= HIGH - BELOW;
  const hits = (box) => obstacles.filter((other) => box.left < other.right && box.right > other.left && box.top < other.bottom && box.bottom > other.top).length;
  const inside = candidates.filter(isInside);
  const among = inside.length ? inside : candidates;
  return among.find((box) => !hits(box)) ?? among.reduce((least, box) => (hits(box) < hits(least) ? box : least));
}

const canvas = document.createElement("canvas").getContext("2d");
function textWidth(words) {
  canvas.font = "12px system-ui, sans-serif";
  return Math.ceil(canvas.measureText(words).width) + 2;
}
