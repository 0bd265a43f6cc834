// Draws points on a canvas in one pass, and finds points by a grid. map.js gives them their meaning.

const NEAR_PX = 12;
const SMALL_PX = 3.2; // at this size, squares look like discs
const FURTHEST = 0.6;
const CLOSEST = 400;

/** A grid of cells, to find the points near a position without scanning all. */
export class Grid {
  constructor(x, y) {
    [this.x, this.y] = [x, y];
    this.side = Math.max(1, Math.ceil(Math.sqrt(x.length / 4)));
    const cellOf = x.map((_, n) => this.cell(x[n]) + this.side * this.cell(y[n]));
    this.start = new Int32Array(this.side ** 2 + 1);
    for (const cell of cellOf) this.start[cell + 1] += 1;
    for (let cell = 0; cell < this.side ** 2; cell++) this.start[cell + 1] += this.start[cell];
    this.points = new Int32Array(x.length);
    const filled = this.start.slice();
    cellOf.forEach((cell, n) => (this.points[filled[cell]++] = n));
  }

  cell(at) {
    return Math.min(this.side - 1, Math.max(0, Math.floor(((at + 1) / 2) * this.side)));
  }

  /** The point nearest to a position within `reach`, or -1. */
  nearest(atX, atY, reach) {
    let [best, least] = [-1, reach ** 2];
    const lastX = this.cell(atX + reach);
    const lastY = this.cell(atY + reach);
    for (let row = this.cell(atY - reach); row <= lastY; row++) {
      const from = this.start[row * this.side + this.cell(atX - reach)];
      const to = this.start[row * this.side + lastX + 1];
      for (let place = from; place < to; place++) {
        const n = this.points[place];
        const distance = (this.x[n] - atX) ** 2 + (this.y[n] - atY) ** 2;
        if (distance <= least) [best, least] = [n, distance];
      }
    }
    return best;
  }
}

/** Whether a position is inside a closed line of [x, y]. */
export function isInside(line, x, y) {
  let inside = false;
  for (let n = 0, before = line.length - 1; n < line.length; before = n++) {
    const [[ax, ay], [bx, by]] = [line[n], line[before]];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** A colour like rgb(1, 2, 3) as a pixel. */
function packed(colour) {
  const [red, green, blue] = colour.match(/[\d.]+/g).map(Number);
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

export class Plane {
  /** Takes a canvas and points from -1 to 1, y upwards. `colours` are CSS colours, `shade` the index of each point's colour. */
  constructor(canvas, x, y) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.place(x, y);
    this.selected = new Set();
    this.current = -1; // the focused point
    this.line = []; // the lasso, in points' coordinates
    this.paint(new Uint8Array(x.length), ["rgb(128 128 128)"], { ink: "black", accent: "blue" });
    this.showAll();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Gives the points other positions; they are drawn after the next `paint`. */
  place(x, y) {
    this.x = Float32Array.from(x);
    this.y = Float32Array.from(y);
    this.grid = new Grid(this.x, this.y);
  }

  paint(shade, colours, marks) {
    [this.shade, this.colours, this.marks] = [shade, colours, marks];
    this.packed = Uint32Array.from(colours, packed);
    // Points of the last colour are on top.
    this.order = Uint32Array.from(this.x.keys()).sort((a, b) => shade[a] - shade[b]);
    this.draw();
  }

  showAll() {
    [this.middleX, this.middleY, this.zoom] = [0, 0, 0.92];
    this.draw();
  }

  get scale() {
    return (Math.min(this.canvas.clientWidth, this.canvas.clientHeight) / 2) * this.zoom;
  }

  toScreen(n) {
    return [
      this.canvas.clientWidth / 2 + (this.x[n] - this.middleX) * this.scale,
      this.canvas.clientHeight / 2 - (this.y[n] - this.middleY) * this.scale,
    ];
  }

  fromScreen(px, py) {
    return [
      this.middleX + (px - this.canvas.clientWidth / 2) / this.scale,
      this.middleY - (py - this.canvas.clientHeight / 2) / this.scale,
    ];
  }

  at(px, py) {
    return this.grid.nearest(...this.fromScreen(px, py), NEAR_PX / this.scale);
  }

  move(dx, dy) {
    this.middleX = Math.min(1.5, Math.max(-1.5, this.middleX - dx / this.scale));
    this.middleY = Math.min(1.5, Math.max(-1.5, this.middleY + dy / this.scale));
    this.draw();
  }

  /** Zooms around a position on the screen. */
  zoomAt(factor, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const [x, y] = this.fromScreen(px, py);
    this.zoom = Math.min(CLOSEST, Math.max(FURTHEST, this.zoom * factor));
    const [nowX, nowY] = this.fromScreen(px, py);
    this.middleX += x - nowX;
    this.middleY += y - nowY;
    this.draw();
  }

  isInView(n) {
    const [px, py] = this.toScreen(n);
    return px >= 0 && py >= 0 && px <= this.canvas.clientWidth && py <= this.canvas.clientHeight;
  }

  /** The nearest point from the current one in a direction, within 45 degrees of it. */
  next(dx, dy) {
    if (this.current < 0) return this.grid.nearest(this.middleX, this.middleY, 4);
    let [best, least] = [-1, Infinity];
    for (let n = 0; n < this.x.length; n++) {
      const [x, y] = [this.x[n] - this.x[this.current], this.y[n] - this.y[this.current]];
      const along = x * dx + y * dy;
      const across = Math.abs(x * dy) + Math.abs(y * dx);
      if (along <= 0 || across > along) continue;
      const distance = along + 2 * across;
      if (distance < least) [best, least] = [n, distance];
    }
    return best;
  }

  /** Scrolls a point into view. */
  reveal(n) {
    if (!this.isInView(n)) [this.middleX, this.middleY] = [this.x[n], this.y[n]];
    this.draw();
  }

  draw() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.drawNow();
    });
  }

  drawNow() {
    const { canvas, context, scale } = this;
    const [width, height, dots] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
      [canvas.width, canvas.height] = [Math.round(width * dots), Math.round(height * dots)];
    }
    context.setTransform(dots, 0, 0, dots, 0, 0);
    context.clearRect(0, 0, width, height);
    const crowd = Math.sqrt(20000 / (this.x.length + 200));
    const radius = Math.min(9, (1.6 + 0.5 * crowd) * Math.max(1, this.zoom ** 0.35));
    if (radius < SMALL_PX) this.drawPixels(scale, radius, dots);
    else this.drawDiscs(width, height, scale, radius);
    this.drawMarks(radius);
    canvas.dataset.drawn = Number(canvas.dataset.drawn || 0) + 1;
  }

  /** Writes small points as squares of pixels: twenty thousand take one millisecond, as shapes thirty. */
  drawPixels(scale, radius, dots) {
    const { canvas, context, x, y, shade, packed } = this;
    const [width, height] = [canvas.width, canvas.height];
    if (this.image?.width !== width || this.image?.height !== height) {
      this.image = context.createImageData(width, height);
    }
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(0);
    const side = Math.max(2, Math.round(1.8 * radius * dots));
    const [left, top] = [width / 2 - this.middleX * scale * dots, height / 2 + this.middleY * scale * dots];
    for (const n of this.order) {
      const px = Math.round(left + x[n] * scale * dots - side / 2);
      const py = Math.round(top - y[n] * scale * dots - side / 2);
      if (px < 0 || py < 0 || px + side > width || py + side > height) continue;
      const colour = packed[shade[n]];
      for (let row = py; row < py + side; row++) {
        const end = row * width + px + side;
        for (let pixel = end - side; pixel < end; pixel++) pixels[pixel] = colour;
      }
    }
    context.putImageData(this.image, 0, 0);
  }

  drawDiscs(width, height, scale, radius) {
    const { context, x, y, shade } = this;
    const [left, top] = [width / 2 - this.middleX * scale, height / 2 + this.middleY * scale];
    let colour = -1;
    context.globalAlpha = 0.85;
    for (const n of this.order) {
      const px = left + x[n] * scale;
      const py = top - y[n] * scale;
      if (px < -radius || py < -radius || px > width + radius || py > height + radius) continue;
      if (shade[n] !== colour) {
        if (colour >= 0) context.fill();
        colour = shade[n];
        context.fillStyle = this.colours[colour];
        context.beginPath();
      }
      context.moveTo(px + radius, py);
      context.arc(px, py, radius, 0, 7);
    }
    if (colour >= 0) context.fill();
    context.globalAlpha = 1;
  }

  drawMarks(radius) {
    const { context } = this;
    context.strokeStyle = this.marks.ink;
    context.lineWidth = 1.5;
    context.beginPath();
    for (const n of this.selected) {
      const [px, py] = this.toScreen(n);
      context.moveTo(px + radius + 1, py);
      context.arc(px, py, radius + 1, 0, 7);
    }
    context.stroke();
    context.strokeStyle = this.marks.accent;
    if (this.current >= 0) {
      context.lineWidth = 3;
      context.beginPath();
      context.arc(...this.toScreen(this.current), radius + 4, 0, 7);
      context.stroke();
    }
    if (this.line.length < 2) return;
    context.lineWidth = 2;
    context.setLineDash([5, 4]);
    context.beginPath();
    for (const [x, y] of this.line) {
      context.lineTo(
        this.canvas.clientWidth / 2 + (x - this.middleX) * this.scale,
        this.canvas.clientHeight / 2 - (y - this.middleY) * this.scale,
      );
    }
    context.closePath();
    context.stroke();
    context.setLineDash([]);
  }
}
