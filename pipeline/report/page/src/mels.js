/** Mels of a clip, as the file beside the page has them, and the pixels of their pictures. */

/**
 * @typedef {Object} Mels
 * @property {number} bands the number of mel bands.
 * @property {number} frames the number of columns.
 * @property {number} hopSeconds time between columns [s].
 * @property {number} low value of byte 0, in log-mel units.
 * @property {number} high value of byte 255.
 * @property {string} log the logarithm: ln, log10 or db.
 * @property {number} fmin lowest frequency of the filterbank [Hz].
 * @property {number} fmax highest frequency of the filterbank [Hz].
 * @property {Uint8Array|null} input [bands, frames], lowest band first; null if the store could not be read any more.
 * @property {Uint8Array} output [bands, frames] of the audio, on the same scale.
 */

/** Widest difference that has a colour of its own: 1.5 in natural-log units, which is 13 dB of power or 6.5 of amplitude. */
const WIDEST = { ln: 1.5, log10: 1.5 / Math.LN10, db: 15 };

/**
 * The mels in the bytes of a clip's file: a line of JSON, then the input's and the output's values.
 *
 * @param {Uint8Array} bytes
 * @returns {Mels}
 */
export function readMels(bytes) {
  const end = bytes.indexOf(10);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  const { n_mels: bands, frames, hop_seconds: hopSeconds, lo: low, hi: high, log = "ln", fmin = 0, fmax = 0 } = header;
  const size = bands * frames;
  const arrays = bytes.subarray(end + 1);
  const hasInput = header.input !== false;
  if (arrays.length !== size * (hasInput ? 2 : 1)) throw new Error("the file of the mels is cut short");
  const input = hasInput ? arrays.subarray(0, size) : null;
  return {
    bands,
    frames,
    hopSeconds,
    low,
    high,
    log,
    fmin,
    fmax,
    input,
    output: arrays.subarray(arrays.length - size),
  };
}

/** Pixels of one mel, highest band first: [bands * frames * 4] RGBA. */
export function melPixels(mels, values, colours) {
  return pixels(mels, (at) => values[at], colours);
}

/** Pixels of output minus input. The middle of the colours is no difference, their ends are `widest` and more. */
export function differencePixels(mels, colours) {
  const step = (mels.high - mels.low) / 255;
  const scale = 127.5 / widest(mels.log);
  const shade = (at) =>
    Math.max(0, Math.min(255, Math.round(127.5 + (mels.output[at] - mels.input[at]) * step * scale)));
  return pixels(mels, shade, colours);
}

/** The difference that has the outermost colour, in log-mel units. */
export function widest(log) {
  return WIDEST[log] ?? WIDEST.ln;
}

/** Mean absolute difference in each column, in log-mel units: [frames]. */
export function differenceByFrame({ bands, frames, low, high, input, output }) {
  const step = (high - low) / 255;
  return Float32Array.from({ length: frames }, (_, frame) => {
    let sum = 0;
    for (let at = frame; at < bands * frames; at += frames) sum += Math.abs(output[at] - input[at]);
    return (sum / bands) * step;
  });
}

function pixels({ bands, frames }, shade, colours) {
  const rgba = new Uint8ClampedArray(bands * frames * 4);
  for (let band = 0; band < bands; band += 1) {
    for (let frame = 0; frame < frames; frame += 1) {
      const colour = 3 * shade(band * frames + frame);
      const at = 4 * ((bands - 1 - band) * frames + frame);
      rgba.set([colours[colour], colours[colour + 1], colours[colour + 2], 255], at);
    }
  }
  return rgba;
}
