/** One utterance to look at and listen to: what is said, figures, the player, and its pictures. */

import { el, fill } from "../dom.js";
import { clock, figure, plural } from "../format.js";
import { player } from "../player.js";
import { stage } from "./stage.js";

const FIGURES = ["duration", "mel_distance", "mel_distance_relative", "rms_dbfs", "peak_dbfs", "clipped", "loudness"];

/** What the manifest has for "not measured", and counts that need no mention. */
const UNTOLD = { mel_distance: -1, mel_distance_relative: -1, loudness: -200, clipped: 0 };

/**
 * An utterance.
 *
 * @param {import("../model.js").Model} model
 * @param {import("../model.js").Utterance} utterance
 * @returns {HTMLElement}
 */
export function clipView(model, utterance) {
  const source = model.source(utterance);
  return el(
    "article",
    { class: "clip" },
    heading(model, utterance.row),
    figures(model, utterance),
    source ? playable(source, utterance) : silent(utterance),
    facts(model, utterance.row),
  );
}

/** Key, speaker, language, and the text, whose direction is its own. */
export function heading(model, row) {
  const tags = ["speaker", "language"].filter((field) => row[field]);
  const tag = (field) => el("span", { class: "tag", title: model.label(field), dir: "auto" }, row[field]);
  return el(
    "header",
    {},
    el("h3", { class: "key", dir: "auto" }, row.key),
    tags.length ? el("p", { class: "tags" }, tags.map(tag)) : null,
    row.text ? el("blockquote", { dir: "auto" }, row.text) : el("p", { class: "note" }, "It has no text."),
  );
}

function figures(model, { row, audio }) {
  const values = { ...row, peak_dbfs: row.peak_dbfs ?? 20 * Math.log10(row.peak) };
  const given = FIGURES.filter((field) => Number.isFinite(values[field]) && values[field] !== UNTOLD[field]);
  const [before, after] = audio?.silence ?? [];
  const pair = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return el(
    "dl",
    { class: "figures" },
    given.map((field) => pair(model.label(field), model.shown(field, values[field]))),
    audio?.silence ? pair("Silence before, after", `${figure(before)}, ${figure(after, "s")}`) : null,
  );
}

function playable(source, { row, audio }) {
  const button = el("button", { type: "button", class: "play", onclick: () => player.toggle(source) });
  const time = el("span", { class: "time" });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const picture = stage(audio, row.duration, {
    seek: (seconds) => player.seek(source, seconds),
    position: () => player.position(source),
    label: row.key,
  });
  const node = el("div", { class: "player" }, el("div", { class: "controls" }, button, time), problem, picture.node);
  const moved = () => {
    picture.move();
    fill(time, `${clock(player.position(source))} / ${clock(row.duration)}`);
  };
  const changed = () => {
    fill(button, player.isPlaying(source) ? "❚❚ Pause" : "▶ Play");
    moved();
  };
  const failed = ({ detail }) => {
    if (detail !== source) return;
    problem.hidden = false;
    fill(problem, "The audio cannot be played: its file is missing, or this browser does not know its format.");
  };
  whileShown(node, source, { changed, moved, failed });
  changed();
  return node;
}

function silent({ audio }) {
  if (audio?.note) return el("p", { class: "note" }, audio.note);
  const command = el("code", {}, "melmill serve");
  return el(
    "p",
    { class: "note" },
    "This report has no clip of it. To play any utterance, open the report with ",
    command,
    ".",
  );
}

function facts(model, row) {
  const meta = row.meta ? Object.entries(row.meta) : metaColumns(row);
  const source = row.source ?? {};
  const rows = [
    ["Shard", model.shown("shard", row.shard)],
    ["Store", source.store],
    ["Row in the store", source.row],
    ["Digest of the mel", source.digest],
    ...meta.map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
  return el(
    "details",
    { class: "facts" },
    el("summary", {}, `Where it is, and ${plural(meta.length, "field")} of metadata`),
    el(
      "dl",
      {},
      rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { dir: "auto" }, value))),
    ),
  );
}

function metaColumns(row) {
  return Object.entries(row)
    .filter(([field]) => field.startsWith("meta."))
    .map(([field, value]) => [field.slice(5), value]);
}

/** Listen to the player until the node has left the page; what it played stops then. */
function whileShown(node, source, listeners) {
  let wasShown = false;
  for (const [event, listener] of Object.entries(listeners)) {
    const call = (told) => {
      wasShown ||= node.isConnected;
      if (wasShown && !node.isConnected) {
        player.removeEventListener(event, call);
        if (player.isPlaying(source)) player.pause();
      } else listener(told);
    };
    player.addEventListener(event, call);
  }
}
