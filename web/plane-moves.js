// Mouse, fingers and keys on a plane: moving, zooming, looking at a point, and opening it.

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const CLICK_PX = 4; // a press that moves less is a click
export const ZOOM = 1.4;

/**
 * Listens on the canvas of a plane.
 *
 * `look(n)` shows point n, or none if n is -1; `tell(n)` says its name after a key; `open(n)` follows it. With `lassoes()`,
 * which tells whether a drag selects, `enclose(line)` selects what is inside a line, `toggle(n)` one, and `clear()` none.
 */
export function steer(plane, { look, tell, open, lassoes = null, enclose, toggle, clear }) {
  const canvas = plane.canvas;
  const pointers = new Map();
  let doing = ""; // "move", "lasso" or "pinch"
  let moved = 0;
  const selects = (event) => Boolean(lassoes) && (event.shiftKey || lassoes());

  function down(event) {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    moved = pointers.size > 1 ? Infinity : 0;
    doing = pointers.size > 1 ? "pinch" : selects(event) ? "lasso" : "move";
    plane.line = doing === "lasso" ? [plane.fromScreen(event.offsetX, event.offsetY)] : [];
  }

  function drag(event) {
    const [px, py] = [event.offsetX, event.offsetY];
    const before = pointers.get(event.pointerId);
    if (!before) return look(event.pointerType === "touch" ? plane.current : plane.at(px, py));
    const others = [...pointers].filter(([id]) => id !== event.pointerId);
    pointers.set(event.pointerId, [px, py]);
    moved += Math.abs(px - before[0]) + Math.abs(py - before[1]);
    if (moved > CLICK_PX) look(-1);
    if (doing === "lasso") {
      plane.line.push(plane.fromScreen(px, py));
      plane.draw();
    } else if (doing === "pinch" && others.length) {
      const [ox, oy] = others[0][1];
      const wide = (x, y) => Math.hypot(x - ox, y - oy) || 1;
      plane.zoomAt(wide(px, py) / wide(...before), (px + ox) / 2, (py + oy) / 2);
      plane.move((px - before[0]) / 2, (py - before[1]) / 2);
    } else if (doing === "move") plane.move(px - before[0], py - before[1]);
  }

  function up(event) {
    if (!pointers.delete(event.pointerId) || pointers.size) return;
    const line = plane.line;
    plane.line = [];
    plane.draw();
    if (doing === "lasso" && line.length > 2) enclose(line);
    else if (event.type === "pointerup" && moved <= CLICK_PX) {
      const n = plane.at(event.offsetX, event.offsetY);
      if (selects(event)) toggle(n);
      else if (n >= 0 && event.pointerType === "touch" && n !== plane.current)
        look(n); // the first tap shows the picture
      else if (n >= 0) open(n);
    }
    doing = "";
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      "+": () => plane.zoomAt(ZOOM), "=": () => plane.zoomAt(ZOOM), "-": () => plane.zoomAt(1 / ZOOM),
      0: () => plane.showAll(), Enter: () => plane.current >= 0 && open(plane.current),
      ...(lassoes ? { " ": () => toggle(plane.current), Escape: clear } : {}),
    }; // prettier-ignore
    if (STEPS[event.key]) {
      const next = plane.next(...STEPS[event.key]);
      const n = next < 0 ? plane.current : next; // no further point in that direction
      if (n >= 0) {
        plane.reveal(n);
        look(n);
        tell(n);
      }
    } else if (acts[event.key]) {
      acts[event.key]();
      if (plane.current >= 0) look(plane.current);
    } else return;
    event.preventDefault();
  }

  function scroll(event) {
    event.preventDefault();
    look(-1);
    plane.zoomAt(
      Math.exp(-Math.sign(event.deltaY) * Math.min(0.5, Math.abs(event.deltaY) / 400)),
      event.offsetX,
      event.offsetY,
    );
  }

  canvas.addEventListener("pointerdown", down);
  canvas.addEventListener("pointermove", drag);
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => pointers.size || look(-1));
  canvas.addEventListener("keydown", press);
  canvas.addEventListener("wheel", scroll, { passive: false });
}

/** Where a card of this size goes beside point n, on the side with more room: [left, top] in px. */
export function besidePoint(plane, n, wide, high) {
  const [px, py] = plane.toScreen(n);
  const { clientWidth, clientHeight } = plane.canvas;
  const left = px + 16 + wide < clientWidth ? px + 16 : px - 16 - wide;
  return [Math.max(2, left), Math.min(clientHeight - high - 6, Math.max(6, py - high / 2))];
}
