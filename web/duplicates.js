// The page of duplicates: groups, the picture to keep of each, and a list of those that the user selects.

import * as alert from "./alert.js";
import { byId, counted, element, save } from "./dom.js";
import * as service from "./service.js";

const PAGE = 50;
const ASK_AGAIN_MS = 1000;
const NONE = ["No two files have the same bytes.", "No picture is a copy of another, edited or not.", "No two pictures show the same scene."];
const say = (text) => (byId("summary").textContent = text);

let level = ["1", "2", "3"].includes(location.hash.slice(1)) ? Number(location.hash.slice(1)) : 2;
let shown = []; // the groups on the page
let total = 0;
let asked = 0; // counts requests, so that late answers are ignored
const selected = new Map(); // pictures by level, id and path

const keyOf = (picture) => JSON.stringify([level, picture.id, picture.path]);

// -- loading

async function load(isMore = false) {
  const ask = ++asked;
  byId("fault").hidden = true;
  byId("groups").ariaBusy = "true";
  if (!isMore) clear();
  try {
    const told = await service.duplicates({ level, offset: shown.length, limit: PAGE });
    if (ask !== asked) return;
    if (told.state === "computing") {
      say(`Comparing the pictures… ${Math.round(100 * told.progress)}%`);
      byId("progress").value = told.progress;
      byId("progress").hidden = false;
      setTimeout(() => ask === asked && load(isMore), ASK_AGAIN_MS);
      return;
    }
    show(told);
  } catch (error) {
    if (ask === asked) showFault(error);
  }
}

function clear() {
  say("");
  shown = [];
  total = 0;
  selected.clear();
  byId("groups").replaceChildren();
  for (const id of ["actions", "hint", "more", "outdated"]) byId(id).hidden = true;
  count();
}

function show(told) {
  end();
  byId("outdated").hidden = !told.outdated;
  const first = shown.length;
  total = told.n;
  shown.push(...told.groups);
  byId("groups").append(...told.groups.map((group, n) => rowOf(group, first + n)));
  const noun = level === 1 ? "file" : "picture";
  say(total ? `${counted(total, "group")} with ${counted(told.extra, noun)} more than needed.` : NONE[level - 1]);
  for (const id of ["actions", "hint"]) byId(id).hidden = total === 0;
  byId("more").hidden = shown.length >= total;
  if (first) byId("groups").children[first]?.focus();
}

function showFault(error) {
  say("");
  end();
  alert.showFault(error);
}

function end() {
  byId("progress").hidden = true;
  byId("groups").ariaBusy = "false";
}

// -- a group

function rowOf(group, n) {
  const title = element("h2", { id: `group-${n}` }, `${counted(group.pictures.length, level === 1 ? "file" : "picture")}`);
  const others = element("button", { type: "button" }, "Select all but the one to keep");
  others.setAttribute("aria-describedby", title.id);
  others.addEventListener("click", () => selectOthers(n));
  const head = element("div", { className: "head" }, title, element("span", { className: "quiet" }, `keep: ${group.reason}`), others);
  const list = element("ul", { className: "pictures" }, ...group.pictures.map(pictureOf));
  const row = element("li", { className: "group", tabIndex: -1 }, head, list);
  row.setAttribute("aria-labelledby", title.id);
  return row;
}

function pictureOf(picture) {
  const img = element("img", { loading: "lazy", decoding: "async", alt: "", width: 176, height: 128 });
  service.show(img, `/thumbnails/${encodeURIComponent(picture.id)}`);
  const box = element("input", { type: "checkbox", checked: selected.has(keyOf(picture)) });
  box.setAttribute("aria-label", `Select ${picture.path}${picture.keep ? ", the one to keep" : ""}`);
  box.addEventListener("change", () => {
    if (box.checked) selected.set(keyOf(picture), picture);
    else selected.delete(keyOf(picture));
    count();
  });
  const mark = element("span", { className: "badge" }, picture.keep ? "Keep" : "Select");
  const facts = [
    picture.path,
    [`${picture.width} × ${picture.height}`, sizeOf(picture.bytes)].filter(Boolean).join(", "),
    dateOf(picture),
    picture.copies > 1 ? `${picture.copies} files with the same bytes` : "",
  ];
  const lines = facts.filter(Boolean).map((text) => element("p", {}, text));
  if (picture.differences.length) lines.push(element("p", { className: "differs" }, picture.differences.join(", ")));
  const made = element("li", { className: "picture" }, img, element("label", {}, box, mark), ...lines);
  made.classList.toggle("keep", picture.keep);
  return made;
}

function sizeOf(bytes) {
  if (bytes === null) return "";
  if (bytes < 1e6) return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function dateOf({ taken, modified }) {
  const day = (text) => text.slice(0, 16).replace("T", " ");
  if (taken) return `taken ${day(taken)}`;
  return modified ? `file of ${day(modified)}` : "";
}

// -- selecting

function selectOthers(n) {
  const { pictures } = shown[n];
  for (const picture of pictures) if (!picture.keep) selected.set(keyOf(picture), picture);
  refresh();
}

/** Shows in the boxes what is selected. */
function refresh() {
  const pictures = shown.flatMap((group) => group.pictures);
  document.querySelectorAll("#groups input").forEach((box, n) => (box.checked = selected.has(keyOf(pictures[n]))));
  count();
}

function count() {
  byId("selected").textContent = selected.size ? `${selected.size.toLocaleString("en")} selected` : "";
  for (const id of ["csv", "json", "copy"]) byId(id).disabled = selected.size === 0;
}

/** Selects in all groups, also in those that are not on the page yet. */
async function selectAll() {
  const ask = ++asked;
  try {
    while (shown.length < total) {
      const told = await service.duplicates({ level, offset: shown.length, limit: PAGE });
      if (ask !== asked || !told.groups.length) return;
      show(told);
    }
  } catch (error) {
    return showFault(error);
  }
  shown.forEach((_, n) => selectOthers(n));
}

// -- what is done with them

const FIELDS = ["id", "path", "width", "height", "bytes", "modified", "taken"];
const listed = () => [...selected.values()].map((picture) => ({ ...Object.fromEntries(FIELDS.map((name) => [name, picture[name]])), link: service.linkOf(picture) }));

function saveCsv() {
  const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
  const lines = listed().map((entry) => Object.values(entry).map(quoted).join(","));
  save(new Blob([`${[...FIELDS, "link"].join(",")}\n${lines.join("\n")}\n`], { type: "text/csv" }), "duplicates.csv");
}

function saveJson() {
  save(new Blob([`${JSON.stringify(listed(), null, 1)}\n`], { type: "application/json" }), "duplicates.json");
}

async function copy() {
  try {
    await navigator.clipboard.writeText([...selected.values()].map((picture) => picture.path).join("\n"));
    byId("selected").textContent = `${counted(selected.size, "path")} copied.`;
  } catch {
    byId("selected").textContent = "The browser does not allow copying here: download the list.";
  }
}

// -- keys

function press(event) {
  const isTyping = event.target.matches?.("input:not([type=checkbox], [type=radio])");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const rows = [...byId("groups").children];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const key = event.key.toLowerCase();
  if (key === "n" || key === "p") {
    const next = key === "n" ? at + 1 : Math.max(0, at - 1);
    rows[Math.min(next, rows.length - 1)]?.focus();
  } else if (key === "x" && at >= 0) selectOthers(at);
  else return;
  event.preventDefault();
}

for (const radio of document.querySelectorAll("[name=level]")) {
  radio.checked = Number(radio.value) === level;
  radio.addEventListener("change", () => {
    level = Number(radio.value);
    history.replaceState(null, "", `#${level}`);
    load();
  });
}
document.addEventListener("keydown", press);
byId("select-all").addEventListener("click", selectAll);
byId("select-none").addEventListener("click", () => {
  selected.clear();
  refresh();
});
byId("csv").addEventListener("click", saveCsv);
byId("json").addEventListener("click", saveJson);
byId("copy").addEventListener("click", copy);
byId("more").addEventListener("click", () => load(true));
byId("again").addEventListener("click", () => load());
byId("retry").addEventListener("click", () => load());
alert.listenForKey(load);
load();
