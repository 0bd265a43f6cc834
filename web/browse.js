// The whole collection, or what filters leave of it, as a source of the grid: sections at once, pictures by the page.

import { dayOf, notTooSmall } from "./dates.js";
import * as service from "./service.js";
import { filtersOf } from "./state.js";

const PAGE = 240; // pictures of a request
const AHEAD = 80; // pictures after those that are needed
const GONE = { id: "", width: 0, height: 0, taken: null, folder: "", filename: "" }; // removed since the sections were read

export class Browse {
  /** Opens the collection; `loaded` is called when more pictures are there, `failed` with a fault of the service. */
  static async open(state, signal, { loaded, failed }) {
    const filters = filtersOf(state);
    const order = state.order || "newest";
    const opened = await Browse.first({ ...filters, order }, signal);
    const hasDates = opened.sections.some(({ key }) => key);
    const [known, used] =
      state.order || hasDates ? [opened, order] : [await Browse.first({ ...filters, order: "folder" }, signal), "folder"];
    return Object.assign(new Browse(), known, { filters, order: used, hasDates, signal, loaded, failed });
  }

  static async first(query, signal) {
    const [{ n, sections }, { pictures }] = await Promise.all([
      service.sections(query, signal),
      service.browse({ ...query, offset: 0, limit: PAGE }, signal),
    ]);
    if (sections.length === 1 && !sections[0].key) sections[0].title = ""; // neither dates nor folders: no headings
    return { n, sections: query.order === "folder" ? sections : notTooSmall(sections), pages: new Map([[0, pictures]]), asked: new Map() };
  }

  at(place) {
    return this.pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  }

  /** Loads pictures; the promise is resolved once they are there, or the service has refused. */
  need(from, to) {
    const pages = [];
    const last = Math.floor((Math.min(this.n, to + AHEAD) - 1) / PAGE);
    for (let page = Math.floor(from / PAGE); page <= last; page++) {
      if (this.pages.has(page)) continue;
      if (!this.asked.has(page)) this.asked.set(page, this.load(page));
      pages.push(this.asked.get(page));
    }
    return Promise.all(pages);
  }

  async load(page) {
    const query = { ...this.filters, order: this.order, offset: page * PAGE, limit: PAGE };
    try {
      const signal = this.signal.aborted ? undefined : this.signal; // the lightbox may step on through an earlier source
      const { pictures } = await service.browse(query, signal);
      const n = Math.min(PAGE, this.n - page * PAGE);
      while (pictures.length < n) pictures.push(GONE);
      this.pages.set(page, pictures);
      this.loaded();
    } catch (error) {
      if (!this.signal.aborted) this.failed(error);
    } finally {
      this.asked.delete(page);
    }
  }

  dayOf(picture) {
    return this.order === "folder" || !picture.taken ? "" : dayOf(picture.taken);
  }

  end() {}
}
