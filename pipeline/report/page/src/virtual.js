/** Which rows of a long table are in sight. A browser shows nothing beyond some 17 million pixels, so taller tables are squeezed. */

const TALLEST = 15e6;
const SPARE = 6;

/**
 * @typedef {{rows: number, rowHeight: number, viewport: number}} Table the number of rows, and heights [px].
 * @typedef {{first: number, last: number, above: number, below: number}} Slice rows first <= row < last, and the empty
 *   heights around them [px].
 */

/**
 * The rows to be drawn.
 *
 * @param {Table} table
 * @param {number} scrollTop how far it is scrolled [px].
 * @returns {Slice}
 */
export function slice({ rows, rowHeight, viewport }, scrollTop) {
  const full = rows * rowHeight;
  const height = Math.min(full, TALLEST);
  const top = Math.min(scrollTop * ratio(full, height, viewport), Math.max(0, full - viewport));
  const first = Math.max(0, Math.floor(top / rowHeight) - SPARE);
  const last = Math.min(rows, Math.ceil((top + viewport) / rowHeight) + SPARE);
  const above = Math.max(0, scrollTop - (top - first * rowHeight));
  return { first, last, above, below: Math.max(0, height - above - (last - first) * rowHeight) };
}

/**
 * How far to scroll so that a row is in sight.
 *
 * @param {Table} table
 * @param {number} row
 * @param {number} scrollTop how far it is scrolled now [px].
 * @returns {number} [px]
 */
export function scrolledTo({ rows, rowHeight, viewport }, row, scrollTop) {
  const full = rows * rowHeight;
  const by = ratio(full, Math.min(full, TALLEST), viewport);
  const top = scrollTop * by;
  if (row * rowHeight < top) return (row * rowHeight) / by;
  if ((row + 1) * rowHeight > top + viewport) return ((row + 1) * rowHeight - viewport) / by;
  return scrollTop;
}

function ratio(full, height, viewport) {
  return height > viewport ? (full - viewport) / (height - viewport) : 1;
}
