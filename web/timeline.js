// The scroller at the right: where in the collection the window is, by date or folder, and a way to any other place.

import { byId, element } from "./dom.js";

const root = byId("timeline");
const handle = byId("timeline-handle");
const labels = byId("timeline-labels");
const LEAST_HEIGHT = 2; // windows: a shorter grid needs no scroller
const APART = 18; // px between two labels

export class Timeline {
  constructor(grid) {
    this.grid = grid;
    root.addEventListener("pointerdown", (event) => {
      root.setPointerCapture(event.pointerId);
      root.classList.add("dragging");
      this.jump(event);
    });
    root.addEventListener("pointermove", (event) => root.hasPointerCapture(event.pointerId) && this.jump(event));
    for (const end of ["pointerup", "pointercancel"]) root.addEventListener(end, () => root.classList.remove("dragging"));
    root.addEventListener("keydown", (event) => this.key(event));
    addEventListener("resize", () => this.draw());
  }

  /** The headings of the grid. */
  heads() {
    return this.grid.parts?.all.filter((part) => part.section && !part.section.isLine) ?? [];
  }

  /** Draws the labels of a source: years, or the first folders of paths. */
  draw() {
    const heads = this.heads();
    root.hidden = heads.length < 2 || this.grid.parts.height < LEAST_HEIGHT * innerHeight;
    if (root.hidden) return;
    const tall = root.clientHeight;
    let [last, lastLabel] = [-APART, ""];
    const made = [];
    for (const { section, top } of heads) {
      const label = /^\d{4}(-|$)/.test(section.key) ? section.key.slice(0, 4) : section.title.split("/")[0];
      const y = (tall * top) / this.grid.parts.height;
      if (label === lastLabel || y < last + APART || y > tall - APART) continue;
      [last, lastLabel] = [y, label];
      const span = element("span", {}, label);
      span.style.top = `${y}px`;
      made.push(span);
    }
    labels.replaceChildren(...made);
    this.drawnFor = this.grid.parts;
    this.move();
  }

  /** Moves the handle to where the window is. */
  move() {
    if (this.drawnFor !== this.grid.parts) return this.draw();
    if (root.hidden) return;
    const { parts } = this.grid;
    const isEnd = scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
    const y = isEnd ? parts.height : Math.max(0, this.grid.top());
    const heads = this.heads();
    const at = Math.max(0, heads.findLastIndex((head) => head.top <= y + 1));
    const title = heads[at].section.title;
    handle.style.top = `${(root.clientHeight * y) / parts.height}px`;
    handle.textContent = title;
    const told = { valuemin: 0, valuemax: heads.length - 1, valuenow: at, valuetext: title };
    for (const [name, value] of Object.entries(told)) root.setAttribute(`aria-${name}`, value);
  }

  jump(event) {
    const box = root.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientY - box.top) / box.height));
    scrollBy({ top: share * this.grid.parts.height - this.grid.top(), behavior: "instant" });
  }

  key(event) {
    const heads = this.heads();
    const at = Number(root.getAttribute("aria-valuenow"));
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 12, PageUp: -12 };
    const to = event.key === "Home" ? 0 : event.key === "End" ? heads.length - 1 : at + (steps[event.key] ?? Number.NaN);
    if (Number.isNaN(to)) return;
    event.preventDefault();
    const head = heads[Math.min(heads.length - 1, Math.max(0, to))];
    scrollBy({ top: head.top - this.grid.top(), behavior: "instant" });
  }
}
