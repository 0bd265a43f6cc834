// What several views have: a list to choose from, and a picture with its nearest.

import { element } from "./dom.js";
import { roam } from "./playground-keys.js";
import { shortId } from "./playground-state.js";
import * as service from "./service.js";

/** A labelled list to choose from; `options` are pairs of a value and a label. */
export function choice(id, name, options, value, change) {
  const select = element("select", { id });
  select.append(...options.map(([key, label]) => element("option", { value: key }, label)));
  select.value = value;
  select.dataset.key = id;
  select.addEventListener("change", () => change(select.value));
  return element("label", { className: "choice" }, element("span", {}, name), select);
}

/** A picture, what there is to say about it, and its nearest; `href` closes it. */
export function section(image, title, about, href, nearest) {
  const heading = element("h2", { id: "chosen-title", tabIndex: -1 }, title);
  const words = element("span", {}, "Close");
  const close = element("a", { className: "button plain close", href, title: "Close" }, "✕ ", words);
  const told = element("div", { className: "about" }, heading, ...about);
  const asked = element("div", { className: "asked" }, image, told, close);
  return element("section", { className: "chosen", id: "chosen" }, asked, nearest);
}

/** The nearest pictures in the order of their distance, as links; `marks` says which are right, null where that is unknown. */
export function strip(neighbours, distances, marks, { experiment, link }) {
  const tiles = neighbours.map((n, rank) => {
    const [isRight, name] = [marks[rank], experiment.className(n)];
    const distance = digits(distances[rank]);
    const mark = isRight === null ? [] : [element("span", { className: "mark" }, isRight ? "✓" : "✗")];
    const img = element("img", { alt: "", loading: "lazy", width: 128, height: 128 });
    service.show(img, experiment.thumbnail(n));
    const kind = isRight === null ? "near" : isRight ? "near right" : "near wrong";
    const below = element(
      "span",
      { className: "below" },
      ...mark,
      element("span", { className: "name" }, name || experiment.pictures[n].path),
      element("span", { className: "n" }, distance),
    );
    const tile = element(
      "a",
      { className: kind, href: link({ picture: shortId(experiment.pictures[n].id), own: "" }) },
      img,
      element("span", { className: "rank" }, String(rank + 1)),
      below,
    );
    const said = [
      `${rank + 1}`,
      experiment.pictures[n].path,
      name,
      isRight === null ? "" : isRight ? "right" : "wrong",
      `distance ${distance}`,
    ];
    tile.setAttribute("aria-label", said.filter(Boolean).join(", "));
    tile.dataset.key = `near ${n}`;
    return element("li", {}, tile);
  });
  const list = element("ol", { className: "strip" }, ...tiles);
  roam(list, "a");
  return element("div", { className: "nearest" }, element("h3", {}, `Its ${neighbours.length} nearest`), list);
}

const digits = (distance) => (distance >= 100 ? distance.toFixed(1) : distance.toFixed(3));
