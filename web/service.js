// Requests to the service, and loading of its pictures.

import { addTo } from "./marks.js";
import { requestOf } from "./state.js";

export const UNKNOWN_KEY = "unknown-key"; // an event of the window
/** The URL of the service: every page is directly below it, at the root of a host or below a path of a reverse proxy. */
export const ROOT = new URL(".", location.href).href;
const KEY = `crossmodal.key of ${ROOT}`; // other services may be below other paths of the host
let key = sessionStorage.getItem(KEY) || "";

export function useKey(given) {
  key = given;
  sessionStorage.setItem(KEY, given);
}

/** A refusal of the service, or no answer (status 0). */
export class Fault extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The URL of a path of the service, such as /images/ID, or of a file beside the page. */
export const addressOf = (path) => new URL(path.replace(/^\//, ""), ROOT).href;

const UNREACHABLE = "The service cannot be reached. Is it still running?";
const OF_PROXIES = [502, 503, 504]; // also the service's own, but then with a detail

const headers = () => (key ? { "X-API-Key": key } : {});

async function fetched(path, options) {
  try {
    return await fetch(addressOf(path), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault(navigator.onLine ? UNREACHABLE : "You are offline.", 0);
  }
}

async function answer(path, options = {}) {
  const response = await fetched(path, { ...options, headers: { Accept: "application/json", ...headers(), ...options.headers } });
  let told = null;
  try {
    told = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (response.status === 401) dispatchEvent(new Event(UNKNOWN_KEY));
  if (!response.ok || told === null) throw faultOf(response, told);
  return told;
}

/** The fault in an answer; `told` is its JSON, or null. */
function faultOf({ status, url }, told) {
  const why = OF_PROXIES.includes(status) ? UNREACHABLE : `The service answered ${status} for ${new URL(url).pathname}`;
  return new Fault(told?.detail || why, status);
}

/** The fault in an answer that is no picture and no archive. */
const refusalOf = async (response) => faultOf(response, await response.json().catch(() => null));

export const collections = () => answer("/collections");
export const map = () => answer("/map");
export const duplicates = (query) => answer(`/duplicates?${new URLSearchParams(query)}`);
export const document = (id) => answer(`/documents/${encodeURIComponent(id)}`);
export const sections = (query, signal) => answer(`/browse/sections?${new URLSearchParams(query)}`, { signal });
export const browse = (query, signal) => answer(`/browse/pictures?${new URLSearchParams(query)}`, { signal });
export const facets = (query, signal) => answer(`/browse/facets?${new URLSearchParams(query)}`, { signal });
export const randomCaptions = (n) => answer(`/captions/random?n=${n}`);

/** Searches an experiment of the playground; relative, as its page may be in any folder. */
export const tryPicture = (form) => answer("playground/try", { method: "POST", body: form });

/** Searches; `page` has `target`, `offset` and `top_k`. */
export async function search(state, picture, page, signal) {
  const form = new FormData();
  const { likes, unlikes, ...request } = requestOf(state); // the form also has examples of the user
  for (const [name, value] of Object.entries({ ...request, ...page })) {
    for (const one of [value].flat()) form.append(name, one);
  }
  if (picture) form.set("image", picture.blob, picture.name);
  if (!(await addTo(form, state))) throw new Fault("This browser no longer has a picture of this search: remove it from the examples.", 404);
  return answer("/search", { method: "POST", body: form, signal });
}

export const status = () => answer("/status");
export const removeDocument = (id) => answer(`/documents/${encodeURIComponent(id)}`, { method: "DELETE" });
export const savedSearches = () => answer("/searches");
export const removeSearch = (name) => answer(`/searches/${encodeURIComponent(name)}`, { method: "DELETE" });

export function saveSearch(name, search) {
  const options = { method: "PUT", body: JSON.stringify(search), headers: { "Content-Type": "application/json" } };
  return answer(`/searches/${encodeURIComponent(name)}`, options);
}

/** The file that POST /download makes, as {blob, name, type}; `progress` is called with what has arrived as text. */
export async function download(body, progress, signal) {
  const options = { method: "POST", body: JSON.stringify(body), signal };
  const response = await fetched("/download", { ...options, headers: { "Content-Type": "application/json", ...headers() } });
  if (!response.ok) throw await refusalOf(response);
  const parts = [];
  let size = 0;
  try {
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.length;
      progress(`${(size / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB received…`);
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault("The download ended early: the log of the service has the reason.", 0);
  }
  const [type] = response.headers.get("Content-Type").split(";");
  const [, name] = response.headers.get("Content-Disposition").match(/filename="(.*)"/);
  return { blob: new Blob(parts, { type }), name, type };
}

/** The bytes of a picture. */
export async function bytes(path, signal) {
  const response = await fetched(path, { headers: headers(), signal });
  if (!response.ok) throw await refusalOf(response);
  return response.blob();
}

/** The link of a picture, for use outside of the page. */
export const linkOf = ({ id }) => addressOf(`/images/${encodeURIComponent(id)}`);

/** Shows a picture of the service; with a key it is fetched by script, since an <img> sends no key. */
export function show(img, path) {
  img.dataset.path = path;
  if (!key) {
    img.src = path && addressOf(path);
    return;
  }
  img.removeAttribute("src");
  coming.observe(img);
}

const coming = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      coming.unobserve(target);
      fetchInto(target, target.dataset.path);
    }
  },
  { rootMargin: "400px" },
);

async function fetchInto(img, path) {
  try {
    const blob = await bytes(path);
    if (img.dataset.path !== path) return;
    const url = URL.createObjectURL(blob);
    img.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
    img.src = url;
  } catch {
    if (img.dataset.path === path) img.dispatchEvent(new Event("error")); // as without a key
  }
}
