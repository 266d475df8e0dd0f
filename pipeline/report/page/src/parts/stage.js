/** One clip as a picture over time: its waveform, and the mels of input and output with their difference. Click to seek. */

import { beside } from "../beside.js";
import { diverging, gradient, VIRIDIS } from "../colours.js";
import { el, fill, redrawn, sized, token } from "../dom.js";
import { clock, figure, hertz, tick } from "../format.js";
import { differencePixels, melPixels, readMels, widest } from "../mels.js";
import { drawPeaks, fittingGain, readPeaks } from "../peaks.js";
import { isDark } from "../theme.js";

const WAVEFORM_HEIGHT = 72;
const STEP = { ArrowLeft: -1, ArrowRight: 1, PageDown: -5, PageUp: 5 };

/**
 * The picture of a clip.
 *
 * @param {{peaks: string, detail: string|null, note: string}|null} audio null if the report has only the sound of it.
 * @param {number} duration [s]
 * @param {{seek: (seconds: number) => void, position: () => number, label: string}} play how it is played.
 * @param {{input: boolean, legend: boolean}} shown whether the mel that came in and the scales are shown.
 * @returns {{node: HTMLElement, move: () => void}} `move` puts the line where the audio is.
 */
export function stage(audio, duration, { seek, position, label }, shown = { input: true, legend: true }) {
  const line = el("div", { class: "playhead" });
  const pictures = el("div", { class: "pictures" }, waveform(readPeaks(audio?.peaks)), line);
  const node = el("div", { class: "stage" }, pictures, timeAxis(duration));
  const move = () => {
    line.style.left = `${duration ? Math.min(100, (100 * position()) / duration) : 0}%`;
    pictures.setAttribute("aria-valuenow", position().toFixed(1));
    pictures.setAttribute("aria-valuetext", `${clock(position())} of ${clock(duration)}`);
  };
  asSlider(pictures, { label, duration, seek, position });
  if (audio) addMels(node, pictures, audio, shown);
  move();
  return { node, move };
}

function waveform(peaks) {
  const canvas = el("canvas", {});
  const row = el("div", { class: "picture waveform" }, canvas);
  return redrawn(row, (width) =>
    drawPeaks(
      sized(canvas, width, WAVEFORM_HEIGHT),
      peaks,
      width,
      WAVEFORM_HEIGHT,
      token("--wave"),
      fittingGain(peaks),
    ),
  );
}

function asSlider(node, { label, duration, seek, position }) {
  const attributes = { role: "slider", tabindex: 0, "aria-label": `Position in ${label}`, "aria-valuemin": 0 };
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.setAttribute("aria-valuemax", duration.toFixed(1));
  const seekTo = (event) => {
    const { left, width } = node.getBoundingClientRect();
    seek(Math.max(0, Math.min(1, (event.clientX - left) / width)) * duration);
  };
  node.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") node.setPointerCapture(event.pointerId);
    seekTo(event);
  });
  node.addEventListener("pointermove", (event) => {
    if (node.hasPointerCapture(event.pointerId)) seekTo(event);
  });
  node.addEventListener("keydown", (event) => {
    const targets = { Home: 0, End: duration };
    const target = targets[event.key] ?? (STEP[event.key] && position() + STEP[event.key]);
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    seek(Math.max(0, Math.min(duration, target)));
  });
}

function timeAxis(duration) {
  return el("div", { class: "time-axis" }, el("span", {}, "0"), el("span", {}, figure(duration, "s")));
}

function addMels(node, pictures, { detail, note }, shown) {
  const said = el("p", { class: "note" }, note);
  node.append(said);
  if (!detail) return;
  fill(said, "Reading the mels …");
  beside(detail)
    .then((bytes) => {
      const mels = readMels(bytes);
      pictures.append(...melPictures(mels, shown.input));
      fill(said, note);
      if (shown.legend) said.before(legend(mels));
    })
    .catch((error) => fill(said, `The mels cannot be shown: ${error.message}.`));
}

function melPictures(mels, withInput) {
  const picture = (caption, colours) =>
    el("div", { class: "picture mel" }, painted(mels, colours), el("span", { class: "caption" }, caption));
  const output = picture("Mel of the audio", () => melPixels(mels, mels.output, VIRIDIS));
  if (!mels.input) return [output];
  const input = withInput ? picture("Mel that came in", () => melPixels(mels, mels.input, VIRIDIS)) : null;
  return [input, output, picture("Difference", () => differencePixels(mels, diverging(isDark())))].filter(Boolean);
}

/** A canvas of one pixel to a value, which the style sheet stretches. */
function painted(mels, pixels) {
  const canvas = el("canvas", { width: mels.frames, height: mels.bands });
  const paint = () => canvas.getContext("2d").putImageData(new ImageData(pixels(), mels.frames, mels.bands), 0, 0);
  paint();
  return redrawn(canvas, paint);
}

function legend(mels) {
  const unit = { ln: "natural log", log10: "log10", db: "dB" }[mels.log] ?? mels.log;
  const most = widest(mels.log);
  return el(
    "p",
    { class: "legend" },
    el(
      "span",
      {},
      "Mel ",
      scale(() => VIRIDIS, mels.low, mels.high),
      ` ${unit}`,
    ),
    mels.input
      ? el(
          "span",
          {},
          "Audio − mel ",
          scale(() => diverging(isDark()), -most, most),
        )
      : null,
    mels.fmax ? el("span", {}, `${tick(mels.fmin / 1000)} to ${hertz(mels.fmax)}, from the bottom up`) : null,
  );
}

/** A strip of a colour map between its ends. */
function scale(colours, low, high) {
  const strip = el("span", { class: "strip" });
  redrawn(strip, () => {
    strip.style.background = gradient(colours());
  });
  return el("span", { class: "scale" }, tick(Number(low.toFixed(1))), strip, tick(Number(high.toFixed(1))));
}
