/** Numbers, spans and times as people read them. */

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const NOT_RECORDED = "–";

/** 1234567 -> "1,234,567". */
export function count(value) {
  return isNumber(value) ? WHOLE.format(value) : NOT_RECORDED;
}

/** A figure with its unit: three significant digits below 1000, whole above. */
export function figure(value, unit = "") {
  if (!isNumber(value)) return NOT_RECORDED;
  const size = Math.abs(value);
  const text =
    size >= 1000 || value === 0 ? WHOLE.format(value) : trimmed(value, size >= 100 ? 0 : size >= 10 ? 1 : 2, size);
  return withUnit(text.replace(/^-(?=.)/, "−"), unit);
}

/** A number beside an axis: as short as it is. */
export function tick(value) {
  return isNumber(value) ? String(Number(value.toPrecision(4))).replace("-", "−") : NOT_RECORDED;
}

/** The middle of a long key is left out, so that both its ends are seen. */
export function middleLeftOut(key, most) {
  const characters = [...key];
  if (characters.length <= most) return key;
  const end = Math.ceil((most - 1) * 0.6);
  return `${characters.slice(0, most - 1 - end).join("")}…${characters.slice(-end).join("")}`;
}

/** A difference: a figure with its sign. */
export function signed(value, unit = "") {
  return isNumber(value) && value > 0 ? `+${figure(value, unit)}` : figure(value, unit);
}

/** 0.125 -> "12.5 %". A share that is not nothing never reads as 0 %, nor one that is not all as 100 %. */
export function percent(share) {
  if (!isNumber(share)) return NOT_RECORDED;
  const value = share * 100;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  if (value < 100 && value > 99.9) return "> 99.9 %";
  return `${value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} %`;
}

/** A span of time: "0.42 s", "52 s", "4 min 10 s", "1 h 52 min", "130 h". */
export function span(seconds) {
  if (!isNumber(seconds)) return NOT_RECORDED;
  if (seconds < 10) return figure(seconds, "s");
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return joined(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.round(seconds / 60);
  return minutes < 6000 ? joined(Math.floor(minutes / 60), "h", minutes % 60, "min") : `${count(seconds / 3600)} h`;
}

/** A position in audio: "0:05.2", "61:00.0". */
export function clock(seconds) {
  const tenths = Math.max(0, Math.floor(seconds * 10 + 1e-6));
  const [minutes, rest] = [Math.floor(tenths / 600), tenths % 600];
  return `${minutes}:${String(Math.floor(rest / 10)).padStart(2, "0")}.${rest % 10}`;
}

/** 1536000 -> "1.5 MB", in powers of 1000. */
export function bytes(value) {
  if (!isNumber(value)) return NOT_RECORDED;
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let [size, unit] = [value, 0];
  while (size >= 999.5 && unit < units.length - 1) [size, unit] = [size / 1000, unit + 1];
  return `${size < 10 && unit > 0 ? size.toFixed(1) : WHOLE.format(size)} ${units[unit]}`;
}

/** An ISO time as "30 Nov 2026, 01:20 UTC"; any other text as it is. */
export function moment(iso) {
  const time = new Date(iso ?? Number.NaN);
  if (Number.isNaN(time.getTime())) return iso ?? NOT_RECORDED;
  const shown = new Intl.DateTimeFormat("en-GB", {
    day: "numeric",
    month: "short",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    timeZone: "UTC",
  });
  return `${shown.format(time)} UTC`;
}

/** "1 utterance", "1,200 utterances". */
export function plural(value, word, words = `${word}s`) {
  return `${count(value)} ${value === 1 ? word : words}`;
}

/** "16 000 Hz" is read as kilohertz: 22050 -> "22.05 kHz". */
export function hertz(value) {
  return isNumber(value) ? `${Number((value / 1000).toFixed(3))} kHz` : NOT_RECORDED;
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function trimmed(value, digits, size) {
  return size < 0.01 ? Number(value.toPrecision(2)).toString() : value.toFixed(size < 1 ? 3 : digits);
}

function withUnit(text, unit) {
  return unit ? `${text} ${unit}` : text;
}

function joined(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}
