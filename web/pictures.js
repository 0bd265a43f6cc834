// Keeps dropped, pasted and chosen pictures by hash, so that reloading and the back button find them.

const N_KEPT = 30;
const held = new Map();
let opening;

function database() {
  opening ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open("crossmodal", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("pictures", { keyPath: "hash" });
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null); // private window: pictures are kept in memory only
    } catch {
      resolve(null);
    }
  });
  return opening;
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Keeps a picture and returns its hash. */
export async function keep(file) {
  const hash = hashOf(new Uint8Array(await file.arrayBuffer()));
  const name = file.name || "pasted picture";
  held.set(hash, { blob: file, name });
  try {
    const store = (await database())?.transaction("pictures", "readwrite").objectStore("pictures");
    if (store) {
      await done(store.put({ hash, blob: file, name, at: Date.now() }));
      const all = await done(store.getAll());
      for (const old of all.sort((a, b) => b.at - a.at).slice(N_KEPT)) store.delete(old.hash);
    }
  } catch {
    // Full disk: kept in memory until the page is left.
  }
  return hash;
}

/** The picture of a hash as {blob, name}, or null if this browser does not have it. */
export async function find(hash) {
  if (held.has(hash)) return held.get(hash);
  try {
    const store = (await database())?.transaction("pictures").objectStore("pictures");
    const found = store ? await done(store.get(hash)) : null;
    return found ? { blob: found.blob, name: found.name } : null;
  } catch {
    return null;
  }
}

/** 53 bits and the length: enough for the pictures of one user, and unlike SubtleCrypto available without https. */
function hashOf(bytes) {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 2654435761);
    b = Math.imul(b ^ byte, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return (4294967296 * (2097151 & b) + (a >>> 0)).toString(36) + bytes.length.toString(36);
}
