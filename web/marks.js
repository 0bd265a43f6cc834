// The examples of a state: pictures marked as liked or unliked, by id, or by "~" and hash if they are of the user.

import { find } from "./pictures.js";
import { isOfUser, OF_USER } from "./state.js";

export const MOST = 50; // of the service

/** The examples in a field of a state. */
export const examplesIn = (field) => field.split(",").filter(Boolean);

export const hasExamples = (state) => Boolean(state.likes || state.unlikes);

/** The hash of an example of the user, "" if it is a document. */
export const hashOf = (example) => (isOfUser(example) ? example.slice(OF_USER.length) : "");

/** How a picture is marked: 1 if liked, -1 if unliked, otherwise 0. */
export function signOf(state, id) {
  if (examplesIn(state.likes).includes(id)) return 1;
  return examplesIn(state.unlikes).includes(id) ? -1 : 0;
}

/** The state in which examples are liked (sign 1), unliked (-1), or none any more (0). */
export function marked(state, examples, sign) {
  const made = withPicture(state);
  const without = (field) => examplesIn(made[field]).filter((one) => !examples.includes(one));
  const [likes, unlikes] = [without("likes"), without("unlikes")];
  if (sign > 0) likes.push(...examples);
  if (sign < 0) unlikes.push(...examples);
  return { ...made, likes: likes.join(","), unlikes: unlikes.join(",") };
}

/** The state in which the picture that is searched with is the first liked example. */
function withPicture(state) {
  const example = state.like || (state.picture && OF_USER + state.picture);
  if (!example) return state;
  return { ...state, like: "", picture: "", likes: [example, ...examplesIn(state.likes)].join(",") };
}

/** The examples of kept pictures. */
export const ofUser = (hashes) => hashes.map((hash) => OF_USER + hash);

/** Adds the examples to the form of a search; returns whether this browser still has all pictures of the user. */
export async function addTo(form, state) {
  for (const field of ["likes", "unlikes"]) {
    for (const example of examplesIn(state[field])) {
      const hash = hashOf(example);
      const picture = hash ? await find(hash) : null;
      if (hash && !picture) return false;
      if (picture) form.append(field, picture.blob, picture.name);
      else form.append(field, example);
    }
  }
  return true;
}
