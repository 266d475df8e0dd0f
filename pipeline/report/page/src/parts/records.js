/** What is recorded beside the audio: failures, texts, metadata, what changed, and what nothing needs any more. */

import { el } from "../dom.js";
import { bytes, count, percent, plural, span } from "../format.js";

/** A table of texts: headings, and rows of cells. */
export function plainTable(headings, rows) {
  const head = el(
    "tr",
    {},
    headings.map((each) => el("th", { scope: "col" }, each || el("span", { class: "hidden" }, "What"))),
  );
  const body = rows.map((cells) =>
    el(
      "tr",
      {},
      cells.map((each) => el("td", { dir: "auto" }, each)),
    ),
  );
  return el(
    "div",
    { class: "wide-table", tabindex: 0, role: "group", "aria-label": headings.join(", ") },
    el("table", {}, el("thead", {}, head), el("tbody", {}, body)),
  );
}

/** What was quarantined, by reason, with the way out of each. */
export function failures(all) {
  if (!all.length) return el("p", {}, "No utterance failed.");
  return el("div", { class: "failures" }, all.map(failureGroup));
}

function failureGroup({ error, reason, count: number, what_to_do: wayOut, examples }) {
  const example = ({ key, reason: why }) =>
    el("li", {}, el("span", { class: "key", dir: "auto" }, key), " ", el("span", { dir: "auto" }, why));
  return el(
    "section",
    { class: "panel" },
    el("h3", {}, plural(number, "utterance"), el("small", {}, ` ${error}`)),
    el("p", { dir: "auto" }, reason),
    wayOut ? el("p", { class: "way-out" }, wayOut) : null,
    el(
      "details",
      {},
      el("summary", {}, number > examples.length ? `The first ${examples.length} of them` : "Which"),
      el("ul", { class: "examples" }, examples.map(example)),
    ),
  );
}

/**
 * What the texts consist of. A click on a character or a word shows the utterances with it.
 *
 * @param {object|null} told TextStatistics of melmill.
 * @param {(text: string) => void} show shows the utterances with it.
 */
export function texts(told, show) {
  if (!told) return el("p", {}, "No utterance has a text.");
  const { utterances, words, characters, vocabulary, alphabet, alphabet_size: letters, frequent, seldom } = told;
  const sizes = [
    `${plural(utterances, "utterance")} with a text: ${plural(words, "word")}, ${plural(characters, "character")}.`,
  ];
  if (vocabulary !== null) sizes.push(`${plural(vocabulary, "different word")}, ${count(seldom)} of which occur once.`);
  const part = (title, all, shown, left) =>
    el(
      "section",
      { class: "panel" },
      el("h3", {}, title),
      el(
        "ul",
        { class: "counted" },
        all.map((each) => counted(each, shown, show)),
      ),
      left,
    );
  const left =
    letters > alphabet.length ? el("p", { class: "note" }, `The most frequent ${alphabet.length} are shown.`) : null;
  return el(
    "div",
    {},
    el("p", {}, sizes.join(" ")),
    el(
      "div",
      { class: "pair" },
      part(plural(letters, "character"), alphabet, visible, left),
      part("Frequent words", frequent.slice(0, 60), (text) => text, null),
    ),
  );
}

function counted([text, number], shown, show) {
  const content = [el("span", { dir: "auto" }, shown(text)), el("small", {}, count(number))];
  const attributes = { type: "button", title: "Show the utterances with it", onclick: () => show(text) };
  return el("li", {}, text !== " " ? el("button", attributes, content) : el("span", {}, content));
}

/** A character that people can see: blanks and controls by their code point. */
function visible(text) {
  if (text === " ") return "blank";
  return /^[\p{L}\p{N}\p{P}\p{S}\p{Emoji}]/u.test(text)
    ? text
    : `U+${text.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The metadata, by field. */
export function metadata({ total, fields, left_out: left, notes }) {
  if (!fields.length) return el("p", {}, "The utterances have no metadata.");
  const types = ({ types: mixed, type, note }) => [
    mixed
      ? Object.entries(mixed)
          .map(([name, number]) => `${name} ${count(number)}`)
          .join(", ")
      : (type ?? "–"),
    note ? el("p", { class: "way-out" }, note) : null,
  ];
  const row = (each) => [
    each.field,
    each.present === total ? "all" : `${count(each.present)} of ${count(total)} (${percent(each.present / total)})`,
    types(each),
    each.values === null ? "many" : count(each.values),
    el("span", { class: "said", dir: "auto" }, each.examples.join(" · ")),
  ];
  return el(
    "div",
    {},
    notes.map((note) => el("p", { class: "way-out" }, note)),
    plainTable(["Field", "Present", "Type", "Values", "For example"], fields.map(row)),
    left ? el("p", { class: "note" }, `${plural(left, "field")} more.`) : null,
  );
}

/** What changed with the last publication, and why. */
export function changes({ text, reasons, before, made, kept, superseded, texts_changed: corrected }, summary) {
  const shards = [plural(made, "shard made", "shards made"), `${count(kept)} kept`, `${count(superseded)} replaced`];
  if (corrected) shards.push(`${plural(corrected, "text")} changed`);
  const pairs = before && [
    ["Utterances", count(before.utterances), count(summary.utterances)],
    ["Failed", count(before.failed), count(summary.failed)],
    ["Audio", span(before.seconds), span(summary.seconds)],
  ];
  return el(
    "div",
    {},
    el("p", {}, text),
    el("p", { class: "note" }, shards.join(" · ")),
    pairs ? plainTable(["", "Before", "Now"], pairs) : null,
    reasons?.length
      ? plainTable(
          ["Why shards were made", "Shards", "Utterances"],
          reasons.map((each) => [each.reason, count(each.shards), count(each.utterances)]),
        )
      : null,
  );
}

/** Shards that nothing needs. */
export function superseded({ bytes: size, total, shards, what_to_do: wayOut }) {
  if (!total) return el("p", {}, "Every shard on disk is needed.");
  return el(
    "div",
    {},
    el(
      "p",
      {},
      `${plural(total, "shard")} of earlier publications, ${bytes(size)}. Readers that take every tar in data/ read them too.`,
    ),
    wayOut ? el("p", { class: "way-out" }, wayOut) : null,
    el(
      "details",
      {},
      el("summary", {}, "Which"),
      plainTable(
        ["Shard", "Size"],
        shards.map(([name, each]) => [name, bytes(each)]),
      ),
    ),
  );
}
