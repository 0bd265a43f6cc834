// The pictures that a search has found, as a source of the grid. Sections: what fits and what is less likely, or months.

import { dayOf, monthOf, notTooSmall } from "./dates.js";

const THRESHOLD = 0.5; // of the service, where a search gives none

export class Found {
  /**
   * Of the first answer of a search; `more` is called for further ones when the end of the grid is near.
   *
   * The answers are ordered by score, and the relevance does not quite follow it, so what fits is put before the line,
   * and the rest after it, each in the order of the answers.
   */
  constructor(state, told, more) {
    this.told = told;
    this.nCaptions = 0; // shown beside the pictures
    this.threshold = told.ordered?.threshold ?? told.query.min_relevance ?? THRESHOLD;
    this.nInOrder = told.ordered?.fitting; // in an order by date: what fits in all
    this.isListing = Boolean(told.understood?.length) && !told.query.text; // all pictures of a time and place
    this.byDate = this.isListing || told.ordered !== undefined;
    this.isGuess = Boolean(state.guess); // whose ranks are those of the service
    this.end = more;
    [this.fitting, this.rest] = [[], []];
    this.add(told);
  }

  /** Adds a further answer; returns the number of pictures that come before those that were already after the line. */
  add(told) {
    const added = told.results.filter((result) => result.modality === "image");
    const isFitting = ({ relevance }) => !this.byDate && !this.isGuess && relevance >= this.threshold;
    const fitting = added.filter(isFitting);
    this.fitting.push(...fitting);
    this.rest.push(...added.filter((result) => !isFitting(result)));
    this.pictures = [...this.fitting, ...this.rest];
    this.more = told.more && added.length > 0 && !this.isGuess;
    this.sections = this.byDate ? this.months() : this.parts();
    return fitting.length;
  }

  get n() {
    return this.pictures.length;
  }

  get hasRelevance() {
    return this.pictures.some(({ relevance }) => relevance !== undefined);
  }

  parts() {
    if (!this.hasRelevance || this.isGuess) return [{ title: "", n: this.n }];
    const title = this.fitting.length ? "Less likely" : "The nearest, though none fits well";
    const note = `below the threshold of ${Math.round(100 * this.threshold)}%`;
    const all = [{ title: "", n: this.fitting.length }, { title, note, n: this.rest.length, isLine: true }];
    return all.filter(({ n }) => n);
  }

  months() {
    const counts = new Map();
    for (const picture of this.pictures) counts.set(monthIn(picture), (counts.get(monthIn(picture)) ?? 0) + 1);
    return notTooSmall([...counts].map(([key, n]) => ({ key, title: monthOf(key), n })));
  }

  at(place) {
    return this.pictures[place];
  }

  need() {}

  dayOf(picture) {
    return this.byDate && picture.tags.taken ? dayOf(picture.tags.taken) : "";
  }
}

const monthIn = (picture) => String(picture.tags.taken ?? "").slice(0, 7);
