/** Hours by speaker, by language, and by fields with few values. A click narrows the table to a value. */

import { el } from "../dom.js";
import { count, percent, span } from "../format.js";

const FIRST = 8;

/**
 * Bars by value for each field.
 *
 * @param {import("../model.js").Model} model
 * @param {(field: string, value: string) => void} choose
 * @returns {{node: HTMLElement, show: (filters: import("../filters.js").Filters) => void}}
 */
export function groups(model, choose) {
  const shown = model.report.groups.filter(({ values }) => values.length);
  const node = el(
    "div",
    { class: "groups" },
    shown.map((group) => groupOf(model, group, choose)),
  );
  const show = (filters) => {
    for (const button of node.querySelectorAll("button[data-field]")) {
      const { field, value } = button.dataset;
      button.setAttribute("aria-pressed", Boolean(filters.values[field]?.includes(value)));
    }
  };
  return { node, show };
}

function groupOf(model, { field, label, total_values: total, values, rest }, choose) {
  const all = values.reduce((sum, each) => sum + each.seconds, rest?.seconds ?? 0);
  const most = Math.max(...values.map((each) => each.seconds));
  const bar = (each) => valueBar(model, field, each, each.seconds / most, all, choose);
  const more = values.slice(FIRST);
  return el(
    "section",
    { class: "group" },
    el("h3", {}, label, total ? el("small", {}, ` ${count(total)}`) : null),
    el("ul", {}, values.slice(0, FIRST).map(bar)),
    more.length
      ? el("details", {}, el("summary", {}, `${count(more.length)} more`), el("ul", {}, more.map(bar)))
      : null,
    rest
      ? el(
          "p",
          { class: "note" },
          `And ${rest.values === null ? "others" : count(rest.values)} with ${span(rest.seconds)} in all.`,
        )
      : null,
  );
}

function valueBar(model, field, each, share, all, choose) {
  const told = [`${count(each.utterances)} utterances`, percent(all ? each.seconds / all : 0)];
  if (each.mel_distance !== null) told.push(`mean mel distance ${model.shown("mel_distance", each.mel_distance)}`);
  return el(
    "li",
    {},
    el(
      "button",
      {
        type: "button",
        "data-field": field,
        "data-value": each.value,
        "aria-pressed": false,
        title: told.join(" · "),
        onclick: () => choose(field, each.value),
      },
      el("span", { class: "bar", style: { width: `${Math.max(0.5, 100 * share)}%` }, "aria-hidden": "true" }),
      el("span", { class: "name", dir: "auto" }, each.value || "(none)"),
      el("span", { class: "value" }, span(each.seconds)),
    ),
  );
}
