// A picture of one's own, searched with by the chosen model, layer and metric. Only a service can encode it.

import { byId, element } from "./dom.js";
import { keep, find } from "./pictures.js";
import { section, strip } from "./playground-parts.js";
import * as service from "./service.js";

let preview = { own: "", url: "" };

/** A button to choose a file. */
export function tryButton({ go }) {
  const file = element("input", { type: "file", accept: "image/*", id: "own-file", className: "hidden" });
  file.dataset.key = "own-file";
  file.addEventListener("change", () => file.files[0] && take(file.files[0], go));
  return element(
    "span",
    {},
    element("label", { className: "button choose", htmlFor: "own-file" }, "Try your own picture"),
    file,
  );
}

async function take(file, go) {
  go({ view: "", picture: "", own: await keep(file) });
}

/** Takes pictures that are dropped or pasted; `context()` is that of now, null while there is none. */
export function listen(context, refuse) {
  const wanted = () => (context()?.live ? context() : null);
  const cover = byId("drop-here");
  document.addEventListener("dragover", (event) => {
    if (!wanted()) return;
    event.preventDefault();
    cover.hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) cover.hidden = true;
  });
  document.addEventListener("drop", (event) => {
    if (!wanted()) return;
    event.preventDefault();
    cover.hidden = true;
    const [file] = event.dataTransfer.files;
    if (file) take(file, wanted().go);
    else refuse("Only pictures can be dropped here.");
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (!file || !wanted()) return;
    event.preventDefault();
    take(file, wanted().go);
  });
}

/** The picture of the address and its nearest. */
export async function showOwn(context) {
  const { experiment, state, result, link } = context;
  const picture = await find(state.own);
  if (!picture) throw new service.Fault("This browser no longer has the picture of this address: drop it again.", 404);
  const form = new FormData();
  form.set("file", picture.blob, picture.name);
  form.set("experiment", state.set);
  for (const name of ["model", "layer", "metric"]) form.set(name, result[name]);
  const { neighbours, distances, took_ms } = await service.tryPicture(form);
  if (preview.own !== state.own) {
    URL.revokeObjectURL(preview.url);
    preview = { own: state.own, url: URL.createObjectURL(picture.blob) };
  }
  const said = [majority(experiment, neighbours), `Searched in ${took_ms.toFixed(0)} ms.`].filter(Boolean).join(" ");
  const unknown = neighbours.map(() => null);
  return section(
    element("img", { className: "large", alt: "your picture", src: preview.url }),
    picture.name,
    [element("p", {}, said)],
    link({ own: "" }),
    strip(neighbours, distances, unknown, context),
  );
}

/** What most of the neighbours are, "" without classes. */
function majority(experiment, neighbours) {
  if (!experiment.classes.length) return "";
  const counts = new Map();
  for (const n of neighbours) counts.set(experiment.className(n), (counts.get(experiment.className(n)) ?? 0) + 1);
  const [[name, count]] = [...counts].sort((a, b) => b[1] - a[1]);
  return `${count} of the ${neighbours.length} nearest are of the class ${name}.`;
}
