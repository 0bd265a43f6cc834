// The UMAP of a model's layer, coloured by class, drawn with the code of the map.

import { byId, element, isDark, onTheme, svg } from "./dom.js";
import { downloads } from "./playground-chart.js";
import { modelName } from "./playground-data.js";
import { shortId } from "./playground-state.js";
import { Plane } from "./plane.js";
import { besidePoint, steer, ZOOM } from "./plane-moves.js";
import * as service from "./service.js";

const N_NAMED = 10; // colours in the style sheet; more classes get hues
const [SIDE, RADIUS] = [900, 4]; // px of a saved SVG

const part = byId("umap"); // the canvas stays, so that moving from layer to layer keeps the view
let plane = null;
let shown = null; // {context, shade, colours}

export async function show(context) {
  const { experiment, result } = context;
  const [{ x, y }, { neighbours }] = await Promise.all([experiment.positions(result), experiment.neighbours(result)]);
  return [part, () => draw(context, x.map((at) => 2 * at - 1), y.map((at) => 2 * at - 1), neighbours)]; // prettier-ignore
}

/** Draws once the canvas is in the page and has a size. */
function draw(context, x, y, neighbours) {
  const { experiment, state, result } = context;
  shown = { context };
  if (plane) plane.place(x, y);
  else begin(x, y);
  const picked = experiment.pictures.findIndex(({ id }) => shortId(id) === state.picture);
  plane.selected = new Set(picked >= 0 ? [picked, ...neighbours[picked]] : []);
  plane.current = -1;
  byId("card").hidden = true;
  const subtitle = `${experiment.name}, ${modelName(experiment.models[result.model])}, ${experiment.layerOf(result).name}`;
  byId("map").setAttribute("aria-label", `UMAP of ${x.length.toLocaleString("en")} pictures, ${subtitle}`);
  byId("umap-about").textContent =
    `${subtitle}. Similar pictures are close together; distances between groups mean little.` +
    (picked >= 0 ? ` Ringed: ${experiment.pictures[picked].path} and its nearest.` : "");
  byId("umap-save").replaceChildren(save(subtitle));
  paint();
}

function begin(x, y) {
  plane = new Plane(byId("map"), x, y);
  steer(plane, {
    look,
    tell: (n) => (byId("umap-told").textContent = nameOf(n)),
    open: (n) =>
      (location.hash = shown.context.link({
        view: "pictures",
        picture: shortId(shown.context.experiment.pictures[n].id),
        own: "",
      })),
  });
  byId("closer").addEventListener("click", () => plane.zoomAt(ZOOM));
  byId("further").addEventListener("click", () => plane.zoomAt(1 / ZOOM));
  byId("whole").addEventListener("click", () => plane.showAll());
  onTheme(() => part.isConnected && paint());
}

const nameOf = (n) =>
  [shown.context.experiment.className(n), shown.context.experiment.pictures[n].path].filter(Boolean).join(" · ");

function look(n) {
  plane.current = n;
  plane.draw();
  byId("map").classList.toggle("picks", n >= 0);
  const card = byId("card");
  card.hidden = n < 0;
  if (n < 0) return;
  byId("card-name").textContent = nameOf(n);
  service.show(byId("card-picture"), shown.context.experiment.thumbnail(n));
  const [left, top] = besidePoint(plane, n, card.offsetWidth, card.offsetHeight);
  card.style.transform = `translate(${left}px, ${top}px)`;
}

// -- colours

const colour = (name) => probed((probe) => (probe.className = name));
const hue = (angle, light) => probed((probe) => (probe.style.color = `hsl(${angle} 62% ${light}%)`));

/** A colour as the browser computes it, in light or dark mode. */
function probed(change) {
  const probe = byId("palette");
  probe.className = "";
  probe.style.color = "";
  change(probe);
  return getComputedStyle(probe).color;
}

/** A colour a class: those of the style sheet, or hues in three lightnesses. */
function palette(n) {
  const places = [...Array(n).keys()];
  if (n <= N_NAMED) return places.map((place) => colour(`g${place}`));
  const lights = isDark() ? [58, 72, 84] : [30, 43, 56];
  return places.map((place) => hue(Math.round((360 * place) / n), lights[place % 3]));
}

function paint() {
  const { experiment, state } = shown.context;
  const off = new Set(state.off ? state.off.split(".").map(Number) : []);
  const colours = experiment.classes.length ? palette(experiment.classes.length) : [];
  const shade = Uint16Array.from(experiment.pictures, (one) =>
    one.class === null || off.has(one.class) ? 0 : one.class + 1,
  );
  shown.shade = shade;
  shown.colours = [colour(experiment.classes.length ? "rest" : "g0"), ...colours];
  plane.paint(shade, shown.colours, { ink: colour("ink"), accent: colour("accent") });
  legend(off, colours);
}

/** A button a class, which greys it out. */
function legend(off, colours) {
  const { experiment, go } = shown.context;
  const set = (places) => go({ off: [...places].sort((a, b) => a - b).join(".") }, true);
  const all = [...experiment.classes.keys()];
  const buttons = experiment.classes.map((name, place) => {
    const dot = element("i");
    dot.style.color = colours[place];
    const button = element(
      "button",
      { type: "button", className: "swatch" },
      dot,
      name,
      element("span", { className: "n" }, experiment.sizes[place].toLocaleString("en")),
    );
    button.setAttribute("aria-pressed", String(!off.has(place)));
    button.dataset.key = `legend ${place}`;
    button.addEventListener("click", () =>
      set(off.has(place) ? all.filter((one) => off.has(one) && one !== place) : [...off, place]),
    );
    return button;
  });
  const every = (label, places, key) => {
    const button = element("button", { type: "button", className: "plain" }, label);
    button.dataset.key = key;
    button.addEventListener("click", () => set(places));
    return button;
  };
  byId("legend").hidden = !buttons.length;
  byId("legend").replaceChildren(...buttons, every("Show all", [], "legend all"), every("Show none", all, "legend none"));
}

// -- files

function save(subtitle) {
  const { experiment } = shown.context;
  const table = {
    columns: ["picture", "class", "x", "y"],
    get rows() {
      return experiment.pictures.map(({ path }, n) => [path, experiment.className(n), plane.x[n], plane.y[n]]);
    },
  };
  return downloads(() => picture(subtitle), table, `${experiment.name}-umap`);
}

/** The whole map as an SVG file. */
function picture(subtitle) {
  const { shade, colours } = shown;
  const page = getComputedStyle(document.body);
  const names = shown.context.experiment.classes;
  const at = (value) => ((value + 1) / 2) * (SIDE - 40) + 20;
  const layers = colours.map((fill, one) => {
    const points = [...plane.order].filter((n) => shade[n] === one);
    const path = points.map((n) => `M${at(plane.x[n]).toFixed(1)} ${(SIDE - at(plane.y[n])).toFixed(1)}h0`).join("");
    return svg("path", {
      d: path,
      stroke: fill,
      "stroke-width": 2 * RADIUS,
      "stroke-linecap": "round",
      "stroke-opacity": 0.85,
      fill: "none",
    });
  });
  const entries = names.flatMap((name, place) => [
    svg("circle", { cx: SIDE + 20, cy: 26 + 20 * place, r: 6, fill: colours[place + 1] }),
    svg("text", { x: SIDE + 34, y: 31 + 20 * place, fill: page.color }, name),
  ]);
  const [width, height] = [SIDE + (names.length ? 200 : 0), Math.max(SIDE, 40 + 20 * names.length) + 40];
  const made = svg(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width,
      height,
      viewBox: `0 -40 ${width} ${height}`,
      "font-family": "system-ui, sans-serif",
      "font-size": 13,
    },
    svg("title", {}, `UMAP: ${subtitle}`),
    svg("rect", { y: -40, width, height, fill: page.backgroundColor }),
    svg("text", { x: 20, y: -14, "font-size": 15, "font-weight": 600, fill: page.color }, `UMAP: ${subtitle}`),
    ...layers,
    ...entries,
  );
  return new XMLSerializer().serializeToString(made);
}
