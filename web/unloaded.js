// Thumbnails that could not be loaded: the service is asked why, and if it answers, they are loaded once more.

import * as service from "./service.js";

const WAIT_MS = 1000;
const failed = new Set();
let asking; // timer
let tell = () => {};

/** `fault` is called with the fault of a service that does not answer. */
export function listen(fault) {
  tell = fault;
}

/** Watches an image that `service.show` shows. */
export function watch(img) {
  img.addEventListener("error", () => {
    if (img.dataset.again) return; // the picture was removed
    failed.add(img);
    asking ??= setTimeout(ask, WAIT_MS);
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
    return tell(error);
  }
  for (const img of again) {
    img.dataset.again = true;
    service.show(img, img.dataset.path);
  }
}
