// What was measured of the chosen result, and where the figures come from.

import { byId, counted, element } from "./dom.js";
import { modelName, written } from "./playground-data.js";

const SHOWN = ["score", "p1", "p5", "map", "t2i10"]; // keys of measures

/** What was measured of the chosen result, and its place among all. */
export function showFigures(experiment, result) {
  const shown = experiment.measures.filter(({ key }) => SHOWN.includes(key));
  const entries = shown.map((measure, place) => {
    const value = measure.of(result);
    const rank = 1 + experiment.results.filter((one) => measure.of(one) > value).length;
    const spread = measure.key === "score" ? element("small", {}, ` ± ${written(measure, result.search_score_std)}`) : "";
    const n = experiment.results.length;
    const standing = rank === 1 ? `★ best of ${n}` : `place ${rank} of ${n}`;
    const among = place ? "" : element("span", { className: "place" }, standing);
    return element("div", {}, element("dt", {}, measure.name), element("dd", {}, written(measure, value), spread, among));
  });
  byId("figures").replaceChildren(...entries);
}

/** Where the figures come from. */
export function showAbout(experiment) {
  const { told, pictures: all } = experiment;
  const { skipped } = told.set;
  const n = experiment.classes.length;
  const when = new Date(told.created).toLocaleString("en", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" });
  const versions = Object.entries(told.versions).map(([name, version]) => `${name} ${version}`).join(", "); // prettier-ignore
  const facts = [
    ["Pictures", [counted(all.length, "picture"), n && `in ${n} classes`].filter(Boolean).join(" ")],
    ["Computed", `${when} UTC, in ${told.seconds.toFixed(0)} s, seed ${told.seed}`],
    ["Versions", versions],
    ...experiment.models.map((one) => [
      modelName(one),
      `${one.family}, ${one.weights}, ${String(one.weights_hash).slice(0, 12)}, ${one.terms}`,
    ]),
  ];
  const left = skipped.map(({ path, reason }) => element("li", {}, `${path}: ${reason}`));
  byId("about-summary").textContent = skipped.length
    ? `About this experiment · ${counted(skipped.length, "file")} skipped`
    : "About this experiment";
  byId("about-facts").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]),
  );
  byId("skipped").hidden = !skipped.length;
  byId("skipped-files").replaceChildren(...left);
  byId("about-set").hidden = false;
}
