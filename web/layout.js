// Justified rows: pictures side by side at one height that together fill the width, each in its own shape.

export const GAP = 6; // px
const [NARROWEST, WIDEST] = [0.5, 3]; // shapes beyond these are cropped
const MOST_STRETCHED = 1.6; // of the wanted height: a row that would be higher does not fill the width

/** Width over height of a picture, within limits; 1.5 if its size is unknown. */
export function ratioOf({ width, height }) {
  return width && height ? Math.min(WIDEST, Math.max(NARROWEST, width / height)) : 1.5;
}

/**
 * The rows of pictures with these ratios, as {from, to, height, lefts, widths} in px.
 *
 * Of all ways to break them, the one whose heights are closest to `target` (the sum of squared logarithms), so that the
 * last row is about as full as the others, and blocks of pictures can be laid out one by one.
 */
export function justify(ratios, width, target) {
  const best = [{ cost: 0, from: 0 }]; // for the first n pictures: the cost, and where the last row begins
  for (let to = 1; to <= ratios.length; to++) {
    best.push({ cost: Infinity, from: 0 });
    let sum = 0;
    for (let from = to - 1; from >= 0; from--) {
      sum += ratios[from];
      const height = Math.min(MOST_STRETCHED * target, (width - GAP * (to - from - 1)) / sum);
      const cost = best[from].cost + Math.log(height / target) ** 2;
      if (cost < best[to].cost) best[to] = { cost, from };
      if (height < target / 2 && from < to - 1) break;
    }
  }
  const rows = [];
  for (let to = ratios.length; to > 0; to = best[to].from) {
    rows.unshift(rowOf(ratios.slice(best[to].from, to), best[to].from, width, target));
  }
  return rows;
}

function rowOf(ratios, from, width, target) {
  const free = width - GAP * (ratios.length - 1);
  const filling = free / ratios.reduce((sum, ratio) => sum + ratio, 0);
  const isFull = filling <= target * MOST_STRETCHED;
  const height = Math.round(isFull ? filling : target);
  const [lefts, widths] = [[], []];
  let left = 0;
  ratios.forEach((ratio, n) => {
    const isLast = n + 1 === ratios.length;
    const wide = isFull && isLast ? width - left : Math.min(width, Math.round(ratio * (isFull ? filling : target)));
    lefts.push(left);
    widths.push(wide);
    left += wide + GAP;
  });
  return { from, to: from + ratios.length, height, lefts, widths };
}

/** The height that pictures of an average ratio are expected to take before their sizes are known. */
export function estimate(n, ratio, width, target, between) {
  const nRows = Math.max(1, Math.round((n * (ratio * target + GAP)) / width));
  return nRows * (target + between);
}
