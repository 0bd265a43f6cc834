// Where everything of an endless grid stands: a heading for each section, and blocks of pictures in justified rows.
// A block whose pictures are not loaded yet has an estimated height. No elements here; grid.js builds these.

import { GAP, estimate, justify, ratioOf } from "./layout.js";

const BLOCK = 40; // pictures
const HEADING = 52; // px
const DAY = 26; // px, above a row in which a day begins
const LIKELY_RATIO = 1.4;
const N_AVERAGED = 200;

export class Parts {
  /** `source` is described in grid.js; `below` is the height under each picture, `before` the parts of last time. */
  constructor(source, width, below, before = null) {
    Object.assign(this, { source, width, below, n: 0, all: [], height: 0 });
    this.target = width < 640 ? 120 : width < 1100 ? 170 : 200;
    const old = new Map(before?.all.map((part) => [part.name, part]));
    const add = (part) => this.all.push(old.get(part.name) ?? part);
    for (const section of source.sections) {
      const { title } = section;
      const from = this.n;
      if (title) add({ name: `${from} ${section.n} ${title}`, section, from, height: HEADING });
      this.n += section.n;
      for (let first = from; first < this.n; first += BLOCK) {
        const to = Math.min(first + BLOCK, this.n);
        add({ name: `${first} ${to} ${source.at(first)?.id}`, from: first, to, rows: null });
      }
    }
    this.all.forEach((part, index) => (part.index = index));
    this.arrange();
  }

  /** Lays out the blocks whose pictures have been loaded since, and returns them. */
  arrange() {
    this.ratio ??= this.averageRatio(); // kept, so that what is not loaded keeps its estimated height
    const arranged = this.all.filter((part) => part.to && !part.rows && this.rowsOf(part));
    let top = 0;
    for (const part of this.all) {
      part.top = top;
      top += part.height;
    }
    this.height = top;
    return arranged;
  }

  averageRatio() {
    const some = [];
    for (let place = 0; place < Math.min(this.n, N_AVERAGED); place++) {
      const picture = this.source.at(place);
      if (picture) some.push(ratioOf(picture));
    }
    return some.length ? some.reduce((sum, ratio) => sum + ratio, 0) / some.length : undefined;
  }

  rowsOf(part) {
    const pictures = [];
    for (let place = part.from; place < part.to; place++) {
      const picture = this.source.at(place);
      if (!picture) {
        const between = this.below + GAP;
        part.height = estimate(part.to - part.from, this.ratio ?? LIKELY_RATIO, this.width, this.target, between);
        return false;
      }
      pictures.push(picture);
    }
    part.rows = justify(pictures.map(ratioOf), this.width, this.target);
    const last = this.source.at(part.from - 1);
    let [top, day] = [0, last ? this.source.dayOf(last) : ""];
    for (const row of part.rows) {
      row.days = pictures.slice(row.from, row.to).map((picture) => {
        const before = day;
        day = this.source.dayOf(picture);
        return day === before ? "" : day;
      });
      row.head = row.days.some(Boolean) ? DAY : 0;
      row.top = top + row.head;
      row.bottom = row.top + row.height + this.below;
      top = row.bottom + GAP;
    }
    part.height = top;
    return true;
  }

  /** The last part for which `isBefore`, which holds for the first parts only. */
  last(isBefore) {
    let [low, high] = [0, this.all.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (isBefore(this.all[middle])) low = middle;
      else high = middle - 1;
    }
    return this.all[low];
  }

  /** The part at a height. */
  at(y) {
    return this.last((part) => part.top <= y);
  }

  /** The block with a picture. */
  of(place) {
    return this.last((part) => part.from <= place);
  }

  /** The parts between two heights. */
  between(from, to) {
    const found = [];
    for (let n = this.at(from)?.index ?? 0; n < this.all.length && this.all[n].top < to; n++) found.push(this.all[n]);
    return found;
  }

  /** The place of the first picture at a height. */
  placeAt(y) {
    const part = this.at(y);
    if (!part) return 0;
    if (!part.to) return part.from;
    const row = part.rows?.find((one) => part.top + one.bottom > y) ?? part.rows?.at(-1);
    const share = Math.min(0.99, Math.max(0, (y - part.top) / part.height));
    return part.from + (row ? row.from : Math.floor(share * (part.to - part.from)));
  }

  /** The top and the bottom of a picture. */
  span(place) {
    const part = this.of(place);
    const row = part.rows?.find((one) => place - part.from < one.to);
    if (row) return [part.top + row.top - row.head, part.top + row.bottom];
    const top = part.top + (part.height * (place - part.from)) / (part.to - part.from);
    return [top, top + this.target];
  }

  /** The place of the picture above (-1) or below (1) another; its own if there is none. */
  beside(place, by) {
    const part = this.of(place);
    const at = part.rows?.findIndex((row) => place - part.from < row.to) ?? -1;
    if (at < 0) return place;
    const { from, lefts, widths } = part.rows[at];
    const middle = lefts[place - part.from - from] + widths[place - part.from - from] / 2;
    let [block, row] = [part, part.rows[at + by]];
    if (!row) {
      const edge = by > 0 ? part.to : part.from - 1;
      if (edge < 0 || edge >= this.n) return place;
      block = this.of(edge);
      row = by > 0 ? block.rows?.[0] : block.rows?.at(-1);
      if (!row) return edge;
    }
    const distances = row.lefts.map((left, n) => Math.abs(left + row.widths[n] / 2 - middle));
    return block.from + row.from + distances.indexOf(Math.min(...distances));
  }
}
