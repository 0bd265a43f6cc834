// An endless grid: knows the place of every picture, and builds only the elements near the window.

import { byId, element } from "./dom.js";
import { GAP } from "./layout.js";
import { Parts } from "./parts.js";

const AHEAD = 3; // windows that are built in the direction of scrolling, and
const BEHIND = 1; // in the other one
const FAST = 3; // windows between two frames: what is passed so fast is not loaded
const SETTLED_MS = 80;

export class Grid {
  /**
   * A grid of the pictures of a source.
   *
   * A source has `sections` ({title, n, ...}), `at(place)` (a picture, or undefined if it is not loaded), `need(from,
   * to)` (loads pictures, and calls `refresh`), `dayOf(picture)` ("" for none), and `end()` (the end is near).
   * `tile(picture, place)` and `head(section)` make elements; `moved()` is called when the window shows something else.
   */
  constructor(root, { tile, head, moved }) {
    Object.assign(this, { root, tile, head, moved, source: null, parts: null, built: new Map(), current: 0, below: 0 });
    addEventListener("scroll", () => this.schedule(), { passive: true });
    new ResizeObserver(() => this.parts && root.clientWidth !== this.parts.width && this.relayout()).observe(root);
  }

  get n() {
    return this.parts?.n ?? 0;
  }

  /** Shows a source from its start. */
  show(source, below = this.below) {
    Object.assign(this, { source, below, current: 0 });
    this.put(null);
  }

  /** Shows what its source has got besides; the pictures from place `from` on are `shift` places further now. */
  grow(from, shift) {
    const moved = (place) => (place >= from ? place + shift : place);
    const [focused, top] = [this.focused(), this.top() > 0 ? this.topPlace() : -1];
    this.current = moved(this.current);
    this.put(this.parts);
    if (shift && top >= from) this.reveal(moved(top), true);
    if (focused >= 0 && this.focused() < 0) this.openOf(moved(focused))?.focus({ preventScroll: true });
  }

  put(before) {
    this.parts = new Parts(this.source, this.root.clientWidth, this.below, before);
    const kept = new Set(this.parts.all);
    for (const part of [...this.built.keys()]) if (!kept.has(part)) this.remove(part);
    this.place();
  }

  /** Lays everything out anew at the same place, after the width or what is below the pictures has changed. */
  relayout(below = this.below) {
    if (!this.source || !this.root.clientWidth) return;
    const place = this.top() > 0 ? this.topPlace() : -1;
    const focused = this.focused();
    const before = this.built;
    Object.assign(this, { below, built: new Map(), parts: new Parts(this.source, this.root.clientWidth, below) });
    for (const [{ index }, node] of before) this.keep(this.parts.all[index], node);
    this.place();
    if (place >= 0) this.reveal(place, true);
    if (focused >= 0) this.reveal(focused);
  }

  /** Shows the pictures that have been loaded since. The window keeps showing the same ones. */
  refresh() {
    if (!this.parts) return;
    const y = this.top();
    const part = this.parts.at(y);
    const held = y > 0 && part ? { top: part.top, place: part.to && !part.rows ? this.topPlace() : -1 } : null;
    const arranged = this.parts.arrange();
    for (const one of this.inOrder(arranged)) if (this.built.has(one)) this.fill(one, this.built.get(one));
    this.place();
    if (!held) return;
    if (held.place >= 0 && part.rows) this.reveal(held.place, true);
    else if (part.top !== held.top) scrollBy({ top: part.top - held.top, behavior: "instant" });
  }

  place() {
    for (const [part, node] of this.built) this.putAt(part, node);
    this.root.style.height = `${this.parts.height}px`;
    this.draw();
  }

  putAt(part, node) {
    node.style.top = `${part.top}px`;
    node.style.height = `${part.height}px`;
  }

  // -- the window

  /** px of the grid above the part of the window in which pictures are seen. */
  top() {
    return covered() - this.root.getBoundingClientRect().top;
  }

  topPlace() {
    return this.parts ? this.parts.placeAt(this.top()) : 0;
  }

  /** Resolves once the pictures that have been built are drawn. */
  drawn() {
    return Promise.allSettled([...this.root.querySelectorAll("img")].map((img) => img.decode()));
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  /** Builds the parts near the window, and removes the others. */
  draw() {
    if (!this.parts) return;
    const y = this.top();
    const passed = y - (this.lastY ?? y);
    const isFast = Math.abs(passed) > FAST * innerHeight;
    if (passed) this.isUpwards = passed < 0;
    this.lastY = y;
    const [above, below] = this.isUpwards ? [AHEAD, BEHIND] : [BEHIND, AHEAD];
    const bottom = y + (1 + below) * innerHeight;
    const wanted = new Set(this.parts.between(y - above * innerHeight, bottom));
    for (const [part, node] of this.built) {
      if (!wanted.has(part) && !node.contains(document.activeElement)) this.remove(part);
    }
    for (const part of this.inOrder([...wanted])) if (!this.built.has(part)) this.build(part);
    clearTimeout(this.settling);
    if (isFast) this.settling = setTimeout(() => this.load(), SETTLED_MS);
    else this.load();
    if (bottom >= this.parts.height) this.source.end();
    this.moved();
  }

  /** Parts in the order in which their pictures are to be loaded: those above the window last. */
  inOrder(parts) {
    const isAbove = (part) => part.top + part.height < this.lastY;
    return [...parts.filter((part) => !isAbove(part)), ...parts.filter(isAbove)];
  }

  load() {
    for (const part of this.built.keys()) if (part.to && !part.rows) this.source.need(part.from, part.to);
  }

  build(part) {
    const node = part.to ? element("ul", { className: "block" }) : this.head(part.section);
    if (part.to) {
      node.setAttribute("role", "list"); // Safari takes a list without bullets for none
      this.fill(part, node);
    }
    this.putAt(part, node);
    const after = [...this.built].filter(([other]) => other.index > part.index);
    const [, next] = after.reduce((first, one) => (first[0]?.index < one[0].index ? first : one), []);
    this.root.insertBefore(node, next ?? null);
    this.built.set(part, node);
  }

  fill(part, node) {
    node.classList.toggle("waiting", !part.rows);
    const tiles = (part.rows ?? []).flatMap((row) => row.widths.map((width, n) => this.tileOf(part, row, n)));
    node.replaceChildren(...tiles);
  }

  /** Shows a part with the elements it had before: a button that is replaced while it is pressed is not clicked. */
  keep(part, node) {
    this.built.set(part, node);
    node.querySelectorAll(".day").forEach((day) => day.remove()); // the first depends on whether the picture before is loaded
    for (const row of part.rows ?? []) row.widths.forEach((width, n) => this.putInRow(node.children[row.from + n], row, n));
  }

  tileOf(part, row, n) {
    const place = part.from + row.from + n;
    const tile = this.tile(this.source.at(place), place);
    tile.dataset.place = place;
    tile.setAttribute("aria-posinset", place + 1);
    tile.setAttribute("aria-setsize", this.n);
    this.putInRow(tile, row, n);
    setTab(tile, place === this.current);
    return tile;
  }

  putInRow(tile, row, n) {
    const box = { left: row.lefts[n], top: row.top, width: row.widths[n], height: row.height + this.below };
    for (const [side, px] of Object.entries(box)) tile.style[side] = `${px}px`;
    tile.style.setProperty("--picture", `${row.height}px`);
    if (row.days[n]) tile.prepend(element("h3", { className: "day" }, row.days[n]));
  }

  remove(part) {
    const node = this.built.get(part);
    for (const img of node.querySelectorAll("img")) if (!img.complete) img.removeAttribute("src"); // stops loading it
    this.built.delete(part);
    node.remove();
  }

  // -- places

  tileAt(place) {
    return this.root.querySelector(`.tile[data-place="${place}"]`);
  }

  openOf(place) {
    return this.tileAt(place)?.querySelector(".open");
  }

  /** The place of the focused picture, or -1. */
  focused() {
    const tile = document.activeElement?.closest?.(".tile");
    return tile && this.root.contains(tile) ? Number(tile.dataset.place) : -1;
  }

  /** Makes a picture the one that the Tab key leads to. */
  setCurrent(place) {
    for (const one of [this.current, place]) {
      const tile = this.tileAt(one);
      if (tile) setTab(tile, one === place);
    }
    this.current = place;
  }

  /** Scrolls so that a picture is visible; to the top of the window if `toTop`. */
  reveal(place, toTop = false) {
    if (!(place >= 0 && place < this.n)) return;
    const [top, bottom] = this.parts.span(place);
    const [y, seen] = [this.top(), innerHeight - covered()];
    if (toTop || top < y) scrollBy({ top: top - y - GAP, behavior: "instant" });
    else if (bottom > y + seen) scrollBy({ top: bottom - y - seen + GAP, behavior: "instant" });
  }

  /** Focuses a picture, which is loaded first if need be. */
  async focusOn(place) {
    if (!(place >= 0 && place < this.n)) return;
    const { source } = this;
    this.reveal(place);
    if (!source.at(place)) await source.need(place, place + 1);
    if (source !== this.source) return;
    this.reveal(place);
    this.draw();
    this.setCurrent(place);
    this.openOf(place)?.focus({ preventScroll: true });
  }

  /** The place that a key leads to from another, or -1 if it is no such key. */
  placeOf(key, place) {
    if (key === "ArrowRight") return this.notGone(Math.min(place + 1, this.n - 1), 1);
    if (key === "ArrowLeft") return this.notGone(Math.max(place - 1, 0), -1);
    if (key === "ArrowDown") return this.notGone(this.parts.beside(place, 1), 1);
    if (key === "ArrowUp") return this.notGone(this.parts.beside(place, -1), -1);
    return key === "Home" ? this.notGone(0, 1) : key === "End" ? this.notGone(this.n - 1, -1) : -1;
  }

  /** The place itself, or from there on the first whose picture was not removed. */
  notGone(place, by) {
    let to = place;
    while (this.source.at(to)?.id === "") to += by;
    return to >= 0 && to < this.n ? to : place;
  }
}

/** Only the current tile can be reached with the Tab key; the arrow keys lead to the others. */
function setTab(tile, isCurrent) {
  for (const button of tile.querySelectorAll("button")) button.tabIndex = isCurrent ? 0 : -1;
}

/** px at the top of the window that the bar covers. */
const covered = () => byId("bar").offsetHeight;
