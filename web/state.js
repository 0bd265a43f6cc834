// Converts the state of the page to a URL and back. A picture is represented by its hash, id or URL.

export const NOTHING = Object.freeze({
  words: "", avoid: "", where: "", mix: 0.5, picture: "", like: "", url: "", guess: "", order: "", after: "",
  before: "", near: "", within: "", camera: "", folder: "", country: "", place: "", label: "", literal: "", likes: "", unlikes: "",
}); // prettier-ignore

const SHORT = { words: "q", avoid: "not" };
const QUERY = ["words", "avoid", "picture", "like", "url", "guess", "literal", "mix", "likes", "unlikes"];
const nameOf = (field) => SHORT[field] ?? field;

/** The state of a URL query such as `?q=two+hearts&mix=0.7`. */
export function fromAddress(query) {
  const given = new URLSearchParams(query);
  const state = { ...NOTHING };
  for (const field of Object.keys(NOTHING)) state[field] = given.get(nameOf(field)) ?? state[field];
  const mix = Number(state.mix);
  state.mix = Number.isFinite(mix) ? Math.min(1, Math.max(0, mix)) : NOTHING.mix;
  return state;
}

/** The URL of a state on a page, without default values. */
export function toAddress(state, page = "./") {
  const told = new URLSearchParams();
  for (const field of Object.keys(NOTHING)) {
    const isTold = state[field] !== NOTHING[field] && (field !== "mix" || isMixed(state));
    if (isTold) told.set(nameOf(field), state[field]);
  }
  const query = told.toString();
  return query ? `${page}?${query}` : page;
}

/** Whether nothing is searched for: the collection is browsed. */
export const isEmpty = (state) => !state.words && !state.picture && !state.like && !state.url && !state.likes;
export const isMixed = (state) => Boolean(state.words && (state.picture || state.like || state.url || state.likes || state.unlikes));

/** The state without its query, but with its filters. */
export function filtersOnly(state) {
  const cleared = Object.fromEntries(QUERY.map((field) => [field, NOTHING[field]]));
  return { ...state, ...cleared, order: "" };
}

/** The state with its query, but without its filters. */
export function withoutFilters(state) {
  const kept = Object.fromEntries([...QUERY, "order"].map((field) => [field, state[field]]));
  return { ...NOTHING, ...kept };
}

/** The filters of a state as parameters of the service. */
export function filtersOf(state) {
  const { after, before, near, within: within_km, camera, folder } = state;
  const conditions = [];
  if (state.where) conditions.push(`(${state.where})`);
  for (const name of ["country", "place"]) if (state[name]) conditions.push(`tags.${name} = ${quoted(state[name])}`);
  if (state.label) conditions.push(`tags.labels = ${quoted(state.label)}`);
  if (folder) {
    // with the folders below: 0 is the character after /
    const below = `tags.folder >= ${quoted(`${folder}/`)} and tags.folder < ${quoted(`${folder}0`)}`;
    conditions.push(`(tags.folder = ${quoted(folder)} or ${below})`);
  }
  const where = conditions.length === 1 && state.where ? state.where : conditions.join(" and ");
  return Object.fromEntries(Object.entries({ where, after, before, near, within_km, camera }).filter(([, value]) => value));
}

/** The state as a request of POST /search, without pictures of the browser. */
export function requestOf(state) {
  const exclude = state.avoid.split(",").map((words) => words.trim()).filter(Boolean); // prettier-ignore
  const { words: text, url: image, like, order } = state; // a URL is fetched by the service, if it allows that
  const given = Object.entries({ text, image, like, order }).filter(([, value]) => value);
  const request = { ...Object.fromEntries(given), ...filtersOf(state) };
  if (exclude.length) request.exclude = exclude;
  for (const field of ["likes", "unlikes"]) {
    const documents = state[field].split(",").filter((example) => example && !isOfUser(example));
    if (documents.length) request[field] = documents;
  }
  if (isMixed(state)) request.mix = state.mix;
  if (text && !state.literal) request.understand = true;
  return request;
}

/** Whether an example is a picture of the user, which only the browser has. */
export const isOfUser = (example) => example.startsWith(OF_USER);
export const OF_USER = "~";

/** Whether a state has a picture that only the browser has. */
export const hasOwnPicture = (state) => Boolean(state.picture) || `${state.likes},${state.unlikes}`.split(",").some(isOfUser);

const quoted = (text) => `'${text.replaceAll("'", "''")}'`;

const RECENT = "crossmodal.recent";
const N_RECENT = 12;

/** Recent search texts, the latest first. */
export function recent() {
  try {
    const found = JSON.parse(localStorage.getItem(RECENT) || "[]");
    return Array.isArray(found) ? found.filter((words) => typeof words === "string") : [];
  } catch {
    return [];
  }
}

export function remember(words) {
  if (!words) return;
  try {
    const others = recent().filter((other) => other !== words);
    localStorage.setItem(RECENT, JSON.stringify([words, ...others].slice(0, N_RECENT)));
  } catch {
    // Without storage there is no list; nothing else depends on it.
  }
}
