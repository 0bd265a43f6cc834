// What the page says of the collection: its name, its size, examples of searches, and other collections.

import { byId, counted, element } from "./dom.js";
import * as service from "./service.js";
import { NOTHING, toAddress } from "./state.js";

/** Shows what the service says of its collection; `search` is called with the words of a chosen example. */
export async function introduce(search, current) {
  const { collections, elsewhere } = await service.collections();
  const [ours] = collections;
  const size = [counted(ours.images, "picture"), ...(ours.captions ? [counted(ours.captions, "caption")] : [])].join(", ");
  const name = elsewhere.length ? "" : `${ours.name}: `; // the select element shows it
  byId("about").textContent = `${name}${size}`;
  byId("about").title = ours.model;
  byId("empty").hidden = ours.images + ours.captions > 0;
  offer(ours, elsewhere, current);
  const examples = ours.examples.map((words) => {
    const button = element("button", { type: "button" }, words);
    button.addEventListener("click", () => search(words));
    return button;
  });
  byId("examples").replaceChildren("Try: ", ...examples);
  byId("examples").hidden = examples.length === 0;
}

/** Offers the collections of other services, if there are any. */
function offer(ours, elsewhere, current) {
  const select = byId("collection");
  const others = elsewhere.map(({ name, url }) => element("option", { value: url }, name));
  select.replaceChildren(element("option", { value: "", selected: true }, ours.name), ...others);
  select.hidden = elsewhere.length === 0;
  select.onchange = () => {
    const { words, avoid, url } = current(); // the parts that are valid for another collection
    const there = select.value.replace(/\/?$/, "/");
    select.value = ""; // for when the user comes back
    location.assign(toAddress({ ...NOTHING, words, avoid, url }, there));
  };
}
