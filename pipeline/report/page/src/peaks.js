/** The outline of a waveform. */

/**
 * Lowest and highest sample of each slice, from base64 of signed bytes in pairs; 127 is full scale.
 *
 * @param {string} base64
 * @returns {{low: Float32Array, high: Float32Array}} [slices] each, -1 to 1.
 */
export function readPeaks(base64) {
  const bytes = Uint8Array.from(atob(base64 ?? ""), (each) => each.charCodeAt(0));
  const signed = new Int8Array(bytes.buffer);
  const slices = signed.length >> 1;
  const every = (first) => Float32Array.from({ length: slices }, (_, slice) => signed[2 * slice + first] / 127);
  return { low: every(0), high: every(1) };
}

/** Draw an outline over the whole of a context's width and height [CSS pixels]. Quiet audio is drawn larger, up to `gain`. */
export function drawPeaks(context, { low, high }, width, height, colour, gain = 1) {
  const middle = height / 2;
  const step = width / low.length;
  context.fillStyle = colour;
  for (let slice = 0; slice < low.length; slice += 1) {
    const top = middle - Math.min(1, high[slice] * gain) * middle;
    const bottom = middle - Math.max(-1, low[slice] * gain) * middle;
    context.fillRect(slice * step, top, Math.max(step - 0.25, 0.6), Math.max(bottom - top, 1));
  }
}

/** The gain that lets an outline fill nine tenths of its height, at most 8: silence stays a line. */
export function fittingGain({ low, high }) {
  let largest = 0;
  for (let slice = 0; slice < low.length; slice += 1) largest = Math.max(largest, -low[slice], high[slice]);
  return largest ? Math.min(8, 0.9 / largest) : 1;
}
