// The pictures of a set, all or of one class, and the nearest of the chosen one.

import { counted, element, svg } from "./dom.js";
import { N_NEAREST, WEIGHTS } from "./playground-data.js";
import { roam } from "./playground-keys.js";
import { showOwn, tryButton } from "./playground-own.js";
import { choice, section, strip } from "./playground-parts.js";
import { shortId } from "./playground-state.js";
import * as service from "./service.js";

const N_LISTED = 120; // at a time
const ORDERS = [["", "As stored"], ["worst", "Lowest score first"], ["best", "Highest score first"]]; // prettier-ignore

export async function show(context) {
  const { experiment, state, result } = context;
  const told = await experiment.neighbours(result);
  const picked = experiment.pictures.findIndex(({ id }) => shortId(id) === state.picture);
  const parts = [];
  if (state.own && context.live) parts.push(await showOwn(context));
  else if (picked >= 0) parts.push(chosen(picked, told, context));
  return [...parts, ...browse(told.scores, context)];
}

// -- one picture and its nearest

function chosen(n, { neighbours, distances, scores }, context) {
  const { experiment, link } = context;
  const picture = experiment.pictures[n];
  const name = experiment.className(n);
  const marks = neighbours[n].map((other) => (name ? experiment.className(other) === name : null));
  const facts = [
    ...(name ? [fact("Class", element("a", { href: link({ class: name, picture: "" }) }, name))] : []),
    fact("Size", `${picture.width} × ${picture.height} px`),
    ...(scores[n] === null ? [] : [fact("Right", `${marks.filter(Boolean).length} of ${marks.length}`)]),
  ];
  return section(
    large(experiment, n),
    picture.path,
    [...scored(scores[n], marks), element("dl", {}, ...facts.flat())],
    link({ picture: "" }),
    strip(neighbours[n], distances[n], marks, context),
  );
}

const fact = (name, value) => [element("dt", {}, name), element("dd", {}, value)];

function large(experiment, n) {
  const img = element("img", {
    className: "large",
    alt: `${experiment.className(n) || "picture"}: ${experiment.pictures[n].path}`,
  });
  service.show(img, experiment.thumbnail(n));
  return img;
}

/** The score, with a bar for each rank as high as its weight, full where the picture is right. */
function scored(score, marks) {
  if (score === null) return [];
  const bars = marks.map((isRight, rank) => {
    const high = 28 * WEIGHTS[rank];
    return svg("rect", {
      class: isRight ? "right" : "wrong",
      x: rank * 9 + 0.5,
      y: 29 - high,
      width: 7,
      height: high,
      rx: 1.5,
    });
  });
  const label = "The weights of the ranks, full where the class is right";
  const bar = svg(
    "svg",
    {
      class: "weights",
      width: N_NEAREST * 9,
      height: 30,
      viewBox: `0 0 ${N_NEAREST * 9} 30`,
      role: "img",
      "aria-label": label,
    },
    ...bars,
  );
  return [element("p", { className: "score" }, element("strong", {}, score.toFixed(1)), " search score ", bar)];
}

// -- all of them

function browse(scores, context) {
  const { experiment, state } = context;
  const shown = inOrder(experiment.picturesOf(state.class), state.order, scores);
  const list = element("ul", { className: "shelf" });
  list.dataset.of = [state.set, state.class, state.order].join();
  const before = document.querySelector(".shelf");
  const more = element("button", { type: "button", className: "more" });
  const add = (n) => {
    const from = list.children.length;
    list.append(...shown.slice(from, from + n).map((n) => tile(n, scores[n], context)));
    const left = shown.length - list.children.length;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(N_LISTED, left)} more of ${left.toLocaleString("en")}`;
    return list.children[from]?.firstChild;
  };
  add(before?.dataset.of === list.dataset.of ? before.children.length : N_LISTED);
  more.addEventListener("click", () => add(N_LISTED)?.focus());
  const end = new IntersectionObserver(
    (entries) => {
      if (!entries.at(-1).isIntersecting) return; // the earlier ones are of the time before
      add(N_LISTED);
      end.unobserve(more);
      end.observe(more); // tells again if the end is still near
    },
    { rootMargin: "100%" },
  );
  end.observe(more);
  roam(list, "a");
  return [
    element(
      "div",
      { className: "head" },
      element(
        "h2",
        {},
        state.class || "All pictures",
        " ",
        element("span", { className: "n" }, counted(shown.length, "picture")),
      ),
      ...choices(context),
    ),
    list,
    more,
  ];
}

function inOrder(pictures, order, scores) {
  if (!order) return pictures;
  const way = order === "worst" ? 1 : -1;
  return pictures.filter((n) => scores[n] !== null).toSorted((a, b) => way * (scores[a] - scores[b]));
}

function choices(context) {
  const { experiment, state, result, go, live } = context;
  const made = [];
  if (experiment.classes.length) {
    const score = (place) => result.classes?.[place]?.search_score;
    const label = (name, place) => (Number.isFinite(score(place)) ? `${name} · ${score(place).toFixed(0)}` : name);
    const options = experiment.classes.map((name, place) => [name, label(name, place)]);
    made.push(
      choice("class", "Class", [["", "All classes"], ...options], state.class, (value) =>
        go({ class: value, picture: "", own: "" }),
      ),
    );
    made.push(choice("order", "Order", ORDERS, state.order, (value) => go({ order: value })));
  }
  if (live) made.push(tryButton(context));
  return made;
}

function tile(n, score, { experiment, state, link }) {
  const { id, path } = experiment.pictures[n];
  const name = experiment.className(n);
  const img = element("img", { alt: "", loading: "lazy", decoding: "async", width: 128, height: 128 });
  service.show(img, experiment.thumbnail(n));
  const gauge = element("span", { className: "gauge" });
  if (score !== null) gauge.style.setProperty("--share", `${score}%`);
  const below = element(
    "span",
    { className: "below" },
    element("span", { className: "name" }, name || path),
    element("span", { className: "n" }, score === null ? "" : score.toFixed(0)),
  );
  const made = element(
    "a",
    { href: link({ picture: shortId(id), own: "" }) },
    img,
    ...(score === null ? [] : [gauge]),
    below,
  );
  made.setAttribute(
    "aria-label",
    [path, name, score === null ? "" : `search score ${score.toFixed(0)}`].filter(Boolean).join(", "),
  );
  if (shortId(id) === state.picture) made.setAttribute("aria-current", "true");
  made.dataset.key = `tile ${n}`;
  made.tabIndex = -1; // see playground-keys.js
  return element("li", {}, made);
}
