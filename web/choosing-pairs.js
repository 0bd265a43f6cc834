// Pairs of models: what can be said of their difference, and the queries on which they differ, as pictures.

import { element } from "./dom.js";
import { measureName, pText, short } from "./choosing-measures.js";
import { show as showPicture } from "./service.js";

export const LEVEL = 0.05; // p-values below are called a difference
const FOUND = 10; // ranks up to here are called found

/** What a pair's difference says: "B is better than A by .021 [.008, .034], p = .004". */
export function sentence({ a, b, difference, low, high, p }, models) {
  const [from, to] = difference < 0 ? [b, a] : [a, b];
  const [least, most] = difference < 0 ? [-high, -low] : [low, high];
  const figures = `${short(Math.abs(difference))} [${short(least)}, ${short(most)}], ${pText(p)}`;
  if (p >= LEVEL) return `No difference can be shown between ${models[a].name} and ${models[b].name}: ${figures}`;
  return `${models[to].name} is better than ${models[from].name} by ${figures}`;
}

/** The differences as a list, by measure where one pair is chosen. */
export function sentences(pairs, models, namesMeasure) {
  const line = (pair) =>
    element(
      "li",
      { className: pair.p < LEVEL ? "shown" : "" },
      ...(namesMeasure ? [element("b", {}, measureName(pair.measure)), " – "] : []),
      sentence(pair, models),
    );
  return element("ul", { className: "sentences" }, ...pairs.map(line));
}

export const pairTable = (pairs, models) => ({
  columns: ["model", "compared with", "measure", "difference", "low", "high", "p"],
  rows: pairs.map(({ a, b, measure, difference, low, high, p }) => [models[b].name, models[a].name, measure, difference, low, high, p]),
});

/** The queries on which models differ, those of a pair in two sections. */
export function queries(differences, models, pair, folder) {
  const card = (entry, shown) => cardOf(entry, models, shown, folder);
  if (!pair) {
    const sorted = by(differences, ({ ranks }) => gain(Math.max(...ranks), Math.min(...ranks)));
    return [list(sorted.map((entry) => card(entry, [...models.keys()])))];
  }
  return [pair, [...pair].reverse()].flatMap(([worse, better]) => {
    const own = by(differences, ({ ranks }) => gain(ranks[worse], ranks[better])).filter(({ ranks }) => ranks[better] < ranks[worse]);
    const head = element("h3", {}, `${models[better].name} ranks it higher than ${models[worse].name}`);
    const none = element("p", { className: "quiet" }, "None of the queries shown.");
    return [head, own.length ? list(own.map((entry) => card(entry, [better, worse]))) : none];
  });
}

const rankText = (rank) => (Number.isFinite(rank) ? `rank ${rank.toLocaleString("en")}` : "not found");
const gain = (worse, better) => 1 / better - 1 / worse;
const by = (entries, value) => [...entries].sort((one, other) => value(other) - value(one));
const list = (cards) => element("ul", { className: "queries" }, ...cards);

function cardOf({ query, picture, ranks }, models, shown, folder) {
  const img = element("img", { alt: "", loading: "lazy", width: 192, height: 192 });
  showPicture(img, `${folder}differences/${encodeURIComponent(picture)}`);
  const rank = (n) =>
    element(
      "li",
      { className: ranks[n] <= FOUND ? "found" : "missed" },
      element("span", {}, models[n].name),
      " ",
      element("b", {}, ranks[n] <= FOUND ? `✓ rank ${ranks[n]}` : `✗ ${rankText(ranks[n])}`),
    );
  const [better, worse] = shown;
  const isTold = shown.length === 2 && ranks[better] <= FOUND && ranks[worse] > FOUND;
  const told = isTold ? [element("p", { className: "quiet" }, `${models[better].name} finds it, ${models[worse].name} doesn’t`)] : [];
  return element("li", {}, img, element("p", { className: "query" }, query), ...told, element("ul", { className: "ranks" }, ...shown.map(rank)));
}
