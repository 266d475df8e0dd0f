/** The report's data as the page's parts ask for it; `page_data` of melmill says what it holds. */

import { figure } from "./format.js";
import { Rows, together } from "./rows.js";

/**
 * @typedef {Object} Utterance
 * @property {object} row its values by field.
 * @property {number} number number of its row in the manifest.
 * @property {object|null} audio its audio in the report; null if it has no clip.
 */

export class Model {
  #clips;
  #completed;

  /**
   * @param {object} report the JSON in the page.
   * @param {(columns: object) => object} completed adds columns to those that the report has.
   */
  constructor(report, completed = (columns) => columns) {
    this.report = report;
    this.#completed = completed;
    this.rows = new Rows(completed(report.rows.columns));
    this.labels = report.rows.labels;
    this.#clips = new Map(report.clips.map((clip) => [clip.row.key, clip]));
  }

  /** Fields of the table, in the order in which they are shown. */
  get fields() {
    return Object.keys(this.labels);
  }

  /** What a field is called. */
  label(field) {
    return this.labels[field]?.label ?? field.replace(/^meta\./, "");
  }

  /** A value of a field as text, with its unit. */
  shown(field, value) {
    if (field === "shard" && typeof value === "number") return this.report.rows.shards[value] ?? "";
    if (typeof value === "string") return value;
    return Number.isFinite(value) ? figure(value, this.labels[field]?.unit) : "–";
  }

  /** The utterance of a row of the table. */
  ofRow(number) {
    const clip = this.#clips.get(this.rows.at(number, "key"));
    return clip ? this.ofClip(clip) : { row: this.rows.row(number), number: this.rows.at(number, "row"), audio: null };
  }

  /** The utterance of a clip. */
  ofClip({ row, number, audio }) {
    return { row, number, audio };
  }

  /** Where an utterance can be played from; null if it cannot. */
  source({ audio, number }) {
    const { serve = null } = this.report;
    return audio?.file ?? (serve ? serve.audio + number : null);
  }

  /** Whether utterances are played from the table: those of one output are. */
  get isPlayed() {
    return this.report.kind === "report";
  }

  /** All rows in place of those that the page came with. */
  hold(chunks) {
    this.rows = together(chunks.map(this.#completed));
  }

  /** Whether the table has every row of the output. */
  get isWhole() {
    return this.rows.length >= this.report.rows.total;
  }
}
