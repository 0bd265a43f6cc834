// Thumbnails that could not be loaded: the service is asked why, and if it answers, they are loaded again.

import * as service from "./service.js";

const WAIT_MS = 1000; // before the first time, then twice as long
const TRIES = 3; // a picture may have been removed
const TOO_MANY = 429; // requests, so these are tried again, too
const failed = new Set();
let asking; // timer
let tell = () => {};

/** `fault` is called with the fault of a service that does not answer. */
export function listen(fault) {
  tell = fault;
}

/** Watches an image that `service.show` shows. */
export function watch(img) {
  let tried = 0;
  img.addEventListener("error", () => {
    if (tried === TRIES) return;
    failed.add(img);
    asking ??= setTimeout(ask, WAIT_MS * 2 ** tried++);
  });
}

async function ask() {
  asking = undefined;
  const again = [...failed].filter((img) => img.isConnected);
  failed.clear();
  if (!again.length) return;
  try {
    await service.status();
  } catch (error) {
    if (error.status !== TOO_MANY) return tell(error);
  }
  for (const img of again) service.show(img, img.dataset.path);
}
