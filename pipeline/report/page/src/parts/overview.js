/** The first screen: what was made, and whether it is good. */

import { el } from "../dom.js";
import { bytes, count, figure, hertz, moment, plural, span } from "../format.js";

export const MARKS = { good: "✓", look: "!", bad: "✕", unknown: "?" };
const LEVELS = { good: "good", look: "worth a look", bad: "bad", unknown: "not known" };

/**
 * The first screen.
 *
 * @param {object} report
 * @param {(filter: object) => void} showRows shows the rows that a check is about.
 * @returns {HTMLElement}
 */
export function overview({ output, summary, verdict, checks, made, melmill, serve }, showRows) {
  return el(
    "section",
    { id: "overview", class: "overview" },
    el("h1", { dir: "auto" }, output.name),
    el("p", { class: "subtitle" }, subtitle(output)),
    el("p", { class: `verdict ${verdict.level}` }, mark(verdict.level), el("span", {}, verdict.text)),
    el(
      "div",
      { class: "columns" },
      totals(summary),
      el(
        "ul",
        { class: "checks" },
        checks.map((each) => checkOf(each, showRows)),
      ),
    ),
    el("p", { class: "note" }, origin({ output, made, melmill, serve })),
  );
}

/** A sign for a level, with its name for those who do not see it. */
export function mark(level) {
  return el("span", { class: `mark ${level}`, role: "img", "aria-label": LEVELS[level] }, MARKS[level]);
}

/** Figures in large type: [name, value, note] each; those without a value are left out. */
export function bigFigures(figures) {
  return el(
    "dl",
    { class: "big" },
    figures
      .filter(([, value]) => value !== null)
      .map(([name, value, note]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, value, note ? el("small", {}, note) : null)),
      ),
  );
}

/** What an output is: the vocoder, the format, and when it was made. */
export function subtitle({ vocoder, codec, subtype, sample_rates: rates, container, finished }) {
  const format = [
    codec?.toUpperCase(),
    subtype,
    rates.map(hertz).join(" and "),
    container === "tar" ? "in tars" : container && "in files",
  ];
  return [vocoder, format.filter(Boolean).join(" "), finished && moment(finished)].filter(Boolean).join(" · ");
}

function totals(summary) {
  const { mel_distance_median: distance, mel_distance_worst: worst, level_median: level } = summary;
  return bigFigures([
    ["Audio", span(summary.seconds), `${bytes(summary.bytes)} in ${plural(summary.shards, "shard")}`],
    ["Utterances", count(summary.utterances), perUtterance(summary)],
    ["Failed", count(summary.failed), share(summary.failed, summary.failed + summary.utterances)],
    [
      "Mel distance",
      distance === null ? null : figure(distance),
      worst === null ? "median" : `median · worst ${figure(worst)}`,
    ],
    ["Level", level === null ? null : figure(level, "dB"), "median"],
    [
      "Speakers",
      summary.speakers === null ? null : count(summary.speakers),
      summary.languages === null ? "" : plural(summary.languages, "language"),
    ],
  ]);
}

function perUtterance({ utterances, seconds }) {
  return utterances ? `${span(seconds / utterances)} each` : "";
}

function share(part, whole) {
  return part ? `of ${count(whole)}` : "";
}

function checkOf({ level, title, text, what_to_do: wayOut, filter }, showRows) {
  const show = el("button", { type: "button", class: "link", onclick: () => showRows(filter) }, "Show them");
  return el(
    "li",
    {},
    mark(level),
    el(
      "div",
      {},
      el("b", {}, title),
      " ",
      el("span", {}, text),
      wayOut ? el("p", { class: "way-out" }, wayOut) : null,
      filter ? show : null,
    ),
  );
}

function origin({ output, made, melmill, serve }) {
  const playing = serve
    ? "Every utterance can be played."
    : "Only the clips can be played; to play any utterance, run melmill serve.";
  return `Run ${output.run_id}, publication ${output.generation} of ${output.url}. Reported ${moment(made)} by melmill ${melmill}. ${playing}`;
}
