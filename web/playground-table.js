// All results in a table to sort and to download.

import { element } from "./dom.js";
import { metricName, written } from "./playground-data.js";
import { saveCsv } from "./playground-save.js";

export function show({ experiment, state, result, link, go }) {
  const columns = columnsOf(experiment);
  const [wanted, isFalling] = [state.sort.replace(/^-/, ""), state.sort.startsWith("-")];
  const sorted = columns.find(({ key }) => key === wanted);
  const rows = sorted ? inOrder(experiment.results, sorted, isFalling) : experiment.results;
  const head = columns.map((column) =>
    heading(column, column === sorted ? (isFalling ? "descending" : "ascending") : "none", go),
  );
  const bests = new Map(experiment.measures.map((measure) => [measure, measure.of(experiment.best(measure))]));
  const body = rows.map((one) => rowOf(one, { experiment, columns, bests, isChosen: one === result, link }));
  const table = element(
    "table",
    { className: "results" },
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
  const caption = `All ${rows.length.toLocaleString("en")} results of ${experiment.name}`;
  table.prepend(element("caption", { className: "hidden" }, caption));
  const box = element("div", { className: "scroller", tabIndex: 0 }, table);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "All results");
  const button = element("button", { type: "button" }, "Download CSV");
  button.dataset.key = "csv";
  const plain = rows.map((one) => columns.map((column) => column.of(one) ?? ""));
  button.addEventListener("click", () =>
    saveCsv(
      columns.map(({ name }) => name),
      plain,
      `${experiment.name}-results`,
    ),
  );
  return [
    element("div", { className: "head" }, element("h2", {}, caption), button),
    element(
      "p",
      { className: "quiet" },
      "Click a heading to sort; ★ marks the best of a column. The link of a row chooses it.",
    ),
    box,
  ];
}

/** The columns: what a result is of, and what was measured. */
function columnsOf(experiment) {
  const { models, metrics } = experiment;
  const spread = { key: "spread", name: "± spread", of: (r) => r.search_score_std, digits: 1 };
  const [score, ...others] = experiment.measures;
  return [
    { key: "model", name: "Model", of: (r) => models[r.model].name },
    { key: "layer", name: "Layer", of: (r) => experiment.layerOf(r).name, rank: (r) => r.layer },
    { key: "dim", name: "Dimensions", of: (r) => experiment.layerOf(r).dim, digits: 0 },
    { key: "metric", name: "Metric", of: (r) => metrics[r.metric], shown: (r) => metricName(metrics[r.metric]) },
    ...(score ? [score] : []),
    ...(score?.key === "score" ? [spread] : []),
    ...others,
    { key: "seconds", name: "Encoding, s", of: (r) => models[r.model].encode_s, digits: 1 },
  ];
}

function inOrder(results, { of, rank = of }, isFalling) {
  const compare = (a, b) => {
    if (a === undefined || a === null) return 1; // what is not measured comes last, in both directions
    if (b === undefined || b === null) return -1;
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return isFalling ? -order : order;
  };
  return results.toSorted((a, b) => compare(rank(a), rank(b)));
}

function heading({ key, name, short, digits }, order, go) {
  const isNumber = digits !== undefined;
  const next = order === "none" ? (isNumber ? `-${key}` : key) : order === "ascending" ? `-${key}` : key;
  const button = element("button", { type: "button", className: "plain", title: name }, short ?? name);
  button.dataset.key = `sort ${key}`;
  button.addEventListener("click", () => go({ sort: next }));
  const made = element("th", { scope: "col", className: isNumber ? "number" : "" }, button);
  made.setAttribute("aria-sort", order);
  return made;
}

function rowOf(one, { experiment, columns, bests, isChosen, link }) {
  const model = experiment.models[one.model];
  const cells = columns.map((column) => {
    const value = column.of(one);
    if (column.key === "model") {
      const href = link({
        view: "pictures",
        model: model.name,
        layer: experiment.layerOf(one).name,
        metric: experiment.metrics[one.metric],
      });
      const chip = model.trained === false ? [" ", element("span", { className: "chip" }, "untrained")] : [];
      return element("th", { scope: "row" }, element("a", { href }, value), ...chip);
    }
    if (column.digits === undefined) return element("td", {}, column.shown?.(one) ?? value);
    const isBest = Number.isFinite(value) && bests.get(column) === value;
    return element(
      "td",
      { className: isBest ? "number best" : "number" },
      `${isBest ? "★ " : ""}${written(column, value)}`,
    );
  });
  const row = element("tr", {}, ...cells);
  if (isChosen) row.setAttribute("aria-current", "true");
  return row;
}
