import assert from "node:assert/strict";
import test from "node:test";
import { differenceByFrame, differencePixels, melPixels, readMels } from "../../../pipeline/report/page/src/mels.js";
import { fittingGain, readPeaks } from "../../../pipeline/report/page/src/peaks.js";

const GREY = Uint8ClampedArray.from({ length: 768 }, (_, at) => Math.floor(at / 3));
const HEADER = { n_mels: 2, frames: 3, hop_seconds: 0.01, lo: -10, hi: 0, fmin: 0, fmax: 8000, log: "ln", input: true };

function file(header, ...arrays) {
  return Uint8Array.from([...new TextEncoder().encode(`${JSON.stringify(header)}\n`), ...arrays.flat()]);
}

test("the mels of a clip are read, band by band", () => {
  const mels = readMels(file(HEADER, [1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]));
  assert.deepEqual([mels.bands, mels.frames, mels.low, mels.high], [2, 3, -10, 0]);
  assert.deepEqual([...mels.input], [1, 2, 3, 4, 5, 6]);
  assert.deepEqual([...mels.output], [7, 8, 9, 10, 11, 12]);
});

test("without the mel that came in there is only that of the audio", () => {
  const mels = readMels(file({ ...HEADER, input: false }, [7, 8, 9, 10, 11, 12]));
  assert.equal(mels.input, null);
  assert.deepEqual([...mels.output], [7, 8, 9, 10, 11, 12]);
});

test("a file that is cut short is refused", () => {
  assert.throws(() => readMels(file(HEADER, [1, 2, 3, 4, 5, 6], [7, 8, 9])), /cut short/);
});

test("the lowest band is drawn at the bottom", () => {
  const mels = readMels(file(HEADER, [1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]));
  const pixels = melPixels(mels, mels.input, GREY);
  assert.deepEqual([...pixels.subarray(0, 8)], [4, 4, 4, 255, 5, 5, 5, 255]);
  assert.deepEqual([...pixels.subarray(12, 16)], [1, 1, 1, 255]);
});

test("no difference has the middle colour, and the widest has the last ones", () => {
  const mels = readMels(file(HEADER, [100, 100, 100, 100, 100, 100], [100, 0, 255, 100, 100, 100]));
  const bottom = differencePixels(mels, GREY).subarray(12);
  assert.deepEqual([bottom[0], bottom[4], bottom[8]], [128, 0, 255]);
});

test("the difference by frame is the mean over bands, in log-mel units", () => {
  const mels = readMels(file(HEADER, [0, 0, 0, 0, 0, 0], [51, 0, 0, 0, 0, 255]));
  assert.deepEqual([...differenceByFrame(mels)], [1, 0, 5]);
});

test("peaks are pairs of signed bytes", () => {
  const peaks = readPeaks(Buffer.from(Int8Array.of(-127, 127, -64, 0).buffer).toString("base64"));
  assert.deepEqual(
    [...peaks.low].map((each) => Number(each.toFixed(2))),
    [-1, -0.5],
  );
  assert.deepEqual([...peaks.high], [1, 0]);
});

test("quiet audio is drawn larger, silence is not", () => {
  const gain = (peak) => fittingGain({ low: Float32Array.of(-peak), high: Float32Array.of(0) });
  assert.equal(Math.round(gain(0.45)), 2);
  assert.equal(gain(0.001), 8);
  assert.equal(gain(0), 1);
});
