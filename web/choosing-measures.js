// What a comparison measured: names of measures, costs and skills for people, and their values as text.

const WAYS = { t2i: "text to picture", i2t: "picture to text", i2i: "picture to picture" };
const KINDS = { mrr: "Mean reciprocal rank", map: "MAP", search_score: "Search score" };

/** A measure's name: `t2i_r10` is "Recall@10, text to picture". */
export function measureName(key) {
  const [, way, kind] = key.match(/^(t2i|i2t|i2i)_(.+)$/) ?? [];
  if (!way) return skillOf(key).name;
  const atK = kind.match(/^([rp])(\d+)$/);
  const name = atK ? `${atK[1] === "r" ? "Recall" : "Precision"}@${atK[2]}` : (KINDS[kind] ?? kind);
  return `${name}, ${WAYS[way]}`;
}

/** What a model costs; `isBetterLow` where less is better. */
export const COSTS = [
  { key: "pictures_per_s", name: "Pictures a second" },
  { key: "text_ms", name: "Time for a text, ms", isBetterLow: true },
  { key: "size_mb", name: "Size of the weights, MB", isBetterLow: true },
  { key: "dim", name: "Dimensions of a vector", isBetterLow: true },
];

const SKILLS = {
  flip: { name: "Left and right, above and below", chance: 0.5 },
  colour_swap: { name: "Which thing has which colour", chance: 0.5 },
  short_query_p10: { name: "Short queries, precision@10" },
  synonym_p10: { name: "Synonyms, precision@10" },
};
/** A skill as {name, chance}; `chance` is its value without a model, where that is known. */
export const skillOf = (key) => SKILLS[key] ?? { name: key };

/** A share as `.673`, a percentage as `45.3`; with a sign if `isSigned`. */
export function short(value, isSigned = false) {
  const size = Math.abs(value) > 1 ? Math.abs(value).toFixed(1) : Math.abs(value).toFixed(3).replace(/^0/, "");
  const isZero = Number(size) === 0;
  return (value < 0 && !isZero ? "−" : isSigned && !isZero ? "+" : "") + size;
}

/** `.673 [.650, .694]`. */
export const spread = ({ value, low, high }) => `${short(value)} [${short(low)}, ${short(high)}]`;

/** A p-value as `p = .004`, or `p < .001`. */
export const pText = (p) => (p < 0.001 ? "p < .001" : `p = ${p.toFixed(3).replace(/^0/, "")}`);
