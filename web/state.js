// Converts the state of a search to a URL and back. A picture is represented by its hash, id or URL.

export const NOTHING = Object.freeze({ words: "", avoid: "", where: "", mix: 0.5, picture: "", like: "", url: "", guess: "" });

const NAMES = {
  words: "q", avoid: "not", where: "where", mix: "mix", picture: "picture", like: "like", url: "url", guess: "guess",
}; // prettier-ignore

/** The state of a URL query such as `?q=two+hearts&mix=0.7`. */
export function fromAddress(query) {
  const given = new URLSearchParams(query);
  const state = { ...NOTHING };
  for (const [name, short] of Object.entries(NAMES)) {
    if (given.has(short)) state[name] = given.get(short);
  }
  const mix = Number(state.mix);
  state.mix = Number.isFinite(mix) ? Math.min(1, Math.max(0, mix)) : NOTHING.mix;
  return state;
}

/** The URL of a search, without default values. */
export function toAddress(state) {
  const told = new URLSearchParams();
  for (const [name, short] of Object.entries(NAMES)) {
    const isTold = name === "mix" ? isMixed(state) && state.mix !== NOTHING.mix : state[name] !== NOTHING[name];
    if (isTold) told.set(short, state[name]);
  }
  const query = told.toString();
  return query ? `/?${query}` : "/";
}

export const isEmpty = (state) => !state.words && !state.picture && !state.like && !state.url;
export const isMixed = (state) => Boolean(state.words && (state.picture || state.like || state.url));

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
