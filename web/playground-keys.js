// Arrow keys among marks: one of them is in the tab order, and the arrows move from it to its neighbours on the screen.

const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

/** Lets the arrow keys move the focus among the elements that match a selector. */
export function roam(root, selector) {
  const marks = () => [...root.querySelectorAll(selector)];
  const enter = (mark) => marks().forEach((one) => one.setAttribute("tabindex", one === mark ? "0" : "-1"));
  enter(root.querySelector(`${selector}[aria-current]`) ?? root.querySelector(selector));
  root.addEventListener("focusin", ({ target }) => target.matches(selector) && enter(target));
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches(selector)) return;
    const all = marks();
    const here = all.indexOf(event.target);
    const place = here + (STEPS[event.key] ?? 0);
    const next = event.key in STEPS ? all[Math.min(all.length - 1, Math.max(0, place))] : beyond(event, all);
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}

/** The mark above or below, the nearest in its row; undefined for other keys. */
function beyond({ key, target }, marks) {
  const way = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (!way) return undefined;
  const middle = (mark) => {
    const { left, top, width, height } = mark.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  };
  const [x, y] = middle(target);
  const cost = (mark) => {
    const [ax, ay] = middle(mark);
    return (ay - y) * way < 1 ? Infinity : 4 * Math.abs(ay - y) + Math.abs(ax - x);
  };
  const best = marks.reduce((near, mark) => (cost(mark) < cost(near) ? mark : near), target);
  return best === target ? undefined : best;
}
