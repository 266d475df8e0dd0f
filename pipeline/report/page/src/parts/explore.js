/** All utterances: histograms and values that narrow the table below them, a search, and the table. */

import { jsonBeside } from "../beside.js";
import { el, fill } from "../dom.js";
import {
  fromCheck,
  isEmpty,
  NO_FILTERS,
  narrowedFields,
  passing,
  withContained,
  withoutField,
  withQuery,
  withRange,
  withValue,
} from "../filters.js";
import { count, figure, plural } from "../format.js";
import { sorted } from "../rows.js";
import { dialog } from "./dialog.js";
import { groups } from "./groups.js";
import { histograms } from "./histograms.js";
import { table } from "./table.js";

/** The explorer of a report; `show` narrows it to what a check is about. */
export class Explorer {
  #model;
  #filters = NO_FILTERS;
  #view;
  #sort = { field: null, descending: false };
  #fields;
  #numbers = new Uint32Array();
  #parts;

  /**
   * @param {import("../model.js").Model} model
   * @param {(utterance: import("../model.js").Utterance) => Node} view draws an utterance that is opened.
   * @param {{wide: string[], narrow: string[]}} columns fields that are shown at first, and those on a phone.
   */
  constructor(model, view, { wide, narrow }) {
    this.#model = model;
    this.#view = view;
    const first = window.matchMedia("(max-width: 640px)").matches ? narrow : wide;
    this.#fields = model.fields.filter((field) => first.includes(field));
    this.#parts = {
      histograms: histograms(model, (field, low, high) => this.#narrow(withRange(this.#filters, field, low, high))),
      groups: groups(model, (field, value) => this.#narrow(withValue(this.#filters, field, value))),
      table: table(model, { sort: (field) => this.#sortBy(field), open: (place) => this.#open(place) }),
      search: searchField((query) => this.#narrow(withQuery(this.#filters, query))),
      chips: el("div", { class: "chips" }),
      total: el("p", { class: "total", role: "status" }),
    };
    this.node = this.#laidOut();
    this.#narrow(NO_FILTERS);
  }

  /** Narrow the table to what a check is about. */
  show({ column, minimum, maximum, values }) {
    this.#begin(fromCheck({ field: column, min: minimum, max: maximum, values }));
    this.#parts.table.node.scrollIntoView({ block: "center" });
  }

  /** Narrow the table to utterances whose text contains something. */
  contain(something) {
    this.#begin(withContained(NO_FILTERS, "text", something));
    this.#parts.table.node.scrollIntoView({ block: "center" });
  }

  #laidOut() {
    const { histograms: plots, groups: values, search, chips, total, table: rows } = this.#parts;
    return el(
      "div",
      { class: "explore" },
      plots.node,
      values.node,
      el("div", { class: "bar-above" }, search, total, this.#columnChoice()),
      chips,
      rows.node,
      this.#leftOut(),
    );
  }

  /** Narrow it by these filters alone; what is being typed goes, too. */
  #begin(filters) {
    this.#parts.search.value = filters.query;
    this.#narrow(filters);
  }

  #narrow(filters) {
    this.#filters = filters;
    this.#numbers = passing(this.#model.rows, filters);
    this.#parts.histograms.show(filters, this.#numbers);
    this.#parts.groups.show(filters);
    this.#showChips();
    this.#showRows();
  }

  #sortBy(field) {
    const numeric = this.#model.labels[field]?.kind === "number";
    const again = this.#sort.field === field;
    this.#sort = { field, descending: again ? !this.#sort.descending : numeric };
    this.#showRows();
  }

  #showRows() {
    const { field, descending } = this.#sort;
    if (field) this.#numbers = sorted(this.#model.rows, this.#numbers, field, descending);
    this.#parts.table.show({ numbers: this.#numbers, fields: this.#fields, sort: this.#sort });
    const [shown, held] = [this.#numbers.length, this.#model.rows.length];
    fill(
      this.#parts.total,
      shown === held ? plural(held, "utterance") : `${count(shown)} of ${plural(held, "utterance")}`,
    );
  }

  #showChips() {
    const chip = (field) => {
      const text = narrowedText(this.#filters, field);
      const label = this.#model.label(field);
      return el(
        "button",
        {
          type: "button",
          class: "chip",
          title: "Remove this filter",
          onclick: () => this.#narrow(withoutField(this.#filters, field)),
        },
        el("b", {}, label),
        ` ${text} `,
        el("span", { "aria-hidden": "true" }, "✕"),
      );
    };
    const clear = el("button", { type: "button", class: "quiet", onclick: () => this.#begin(NO_FILTERS) }, "Show all");
    fill(this.#parts.chips, narrowedFields(this.#filters).map(chip), isEmpty(this.#filters) ? null : clear);
  }

  #columnChoice() {
    const all = this.#model.fields.filter((field) => field !== "key" && field !== "text");
    const box = (field) => {
      const input = el("input", { type: "checkbox" });
      input.checked = this.#fields.includes(field);
      input.addEventListener("change", () => {
        this.#fields = all.filter((each) => (each === field ? input.checked : this.#fields.includes(each)));
        this.#showRows();
      });
      return el("label", {}, input, " ", this.#model.label(field));
    };
    return el("details", { class: "columns" }, el("summary", {}, "Columns"), el("div", {}, all.map(box)));
  }

  /** What the table does not hold, and the way to all of it. */
  #leftOut() {
    const { note, chunks, total } = this.#model.report.rows;
    if (this.#model.isWhole) return null;
    const said = el("p", { class: "note", role: "status" }, note);
    if (!chunks) return said;
    const button = el("button", { type: "button" }, `Load all ${plural(total, "row")}`);
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await this.#loadAll(chunks, (share) => fill(said, `Loading: ${Math.round(100 * share)} %`));
        fill(said, "All rows are loaded.");
        button.remove();
      } catch (error) {
        button.disabled = false;
        fill(said, `Not all rows could be loaded: ${error.message}.`);
      }
    });
    return el("div", { class: "left-out" }, said, button);
  }

  async #loadAll(chunks, progress) {
    const parts = [];
    for (const { file } of chunks) {
      parts.push(await jsonBeside(file));
      progress(parts.length / chunks.length);
    }
    this.#model.hold(parts);
    this.#narrow(this.#filters);
  }

  #open(place) {
    const utterance = (each) => this.#view(this.#model.ofRow(this.#numbers[each]));
    dialog(this.#numbers.length, place, utterance);
  }
}

function searchField(search) {
  let waiting = 0;
  const input = el("input", {
    type: "search",
    placeholder: "Search keys, texts, speakers",
    "aria-label": "Search keys, texts, speakers",
  });
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => search(input.value), 120);
  });
  return input;
}

function narrowedText({ ranges, values, contained }, field) {
  const range = ranges[field] ? rangeText(ranges[field]) : null;
  const chosen = values[field]?.map((each) => each || "(none)").join(", ");
  return [range, chosen, contained[field] && `with “${contained[field]}”`].filter(Boolean).join(", ");
}

function rangeText([low, high]) {
  if (low === -Infinity) return `≤ ${figure(high)}`;
  return high === Infinity ? `≥ ${figure(low)}` : `${figure(low)} to ${figure(high)}`;
}
