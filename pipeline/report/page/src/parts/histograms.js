/** How the figures are distributed. Dragging over bars narrows the table; so do the fields below them. */

import { el, fill, redrawn } from "../dom.js";
import { count, figure } from "../format.js";
import { bars, plotNode, showKept, showRange } from "../plots.js";
import { binned } from "../rows.js";

/**
 * One histogram for each figure.
 *
 * @param {import("../model.js").Model} model
 * @param {(field: string, low: number, high: number) => void} narrow
 * @returns {{node: HTMLElement, show: (filters: import("../filters.js").Filters, numbers: Uint32Array) => void}}
 */
export function histograms(model, narrow) {
  const each = model.report.histograms.map((shown) =>
    histogram(model, shown, (low, high) => narrow(shown.field, low, high)),
  );
  return {
    node: el(
      "div",
      { class: each.length % 3 ? "histograms" : "histograms by-three" },
      each.map(({ node }) => node),
    ),
    show: (filters, numbers) => {
      for (const { show } of each) show(filters, numbers);
    },
  };
}

function histogram(model, { field, label, unit, help, edges, counts, missing, ...figures }, narrow) {
  const plot = plotNode(
    `${label}: median ${figure(figures.median, unit)}, from ${figure(figures.minimum)} to ${figure(figures.maximum, unit)}`,
  );
  const ends = endFields(label, unit, narrow);
  const choose = (first, last) =>
    narrow(first ? edges[first] : -Infinity, last < counts.length ? edges[last] : Infinity);
  const state = { kept: null, range: null, chart: null };
  const update = () => {
    showKept(state.chart, state.kept);
    showRange(state.chart, edges, state.range);
  };
  redrawn(plot, (width) => {
    state.chart?.destroy();
    state.chart = bars(plot, width, { edges, counts, mark: figures.median }, choose);
    update();
  });
  const show = (filters, numbers) => {
    const isNarrowed = model.isWhole && numbers.length < model.rows.length;
    state.kept = isNarrowed ? binned(clamped(model.rows.column(field), edges), numbers, edges) : null;
    state.range = filters.ranges[field] ?? null;
    ends.show(state.range);
    if (state.chart) update();
  };
  const node = el(
    "section",
    { class: "histogram" },
    el("h3", { title: help }, label, unit ? el("small", {}, ` ${unit}`) : null),
    el(
      "p",
      { class: "note" },
      `median ${figure(figures.median)} · 90 % in ${figure(figures.p05)} to ${figure(figures.p95)}`,
    ),
    plot,
    ends.node,
    missing ? el("p", { class: "note" }, `not measured: ${count(missing)}`) : null,
  );
  return { node, show };
}

/** Two fields for the ends of the range: what a mouse does over the bars, by keyboard and on a phone. */
function endFields(label, unit, narrow) {
  const field = (end) =>
    el("input", {
      type: "number",
      step: "any",
      "aria-label": `${label}, ${end}${unit ? ` [${unit}]` : ""}`,
      placeholder: end,
    });
  const [low, high] = [field("from"), field("to")];
  const read = (input, open) => (input.value === "" ? open : Number(input.value));
  const changed = () => narrow(read(low, -Infinity), read(high, Infinity));
  for (const input of [low, high]) input.addEventListener("change", changed);
  const clear = el(
    "button",
    { type: "button", class: "quiet", "aria-label": `${label}: any`, onclick: () => narrow(-Infinity, Infinity) },
    "✕",
  );
  const show = (range) => {
    const text = (end) => (range && Number.isFinite(end) ? String(Number(end.toPrecision(6))) : "");
    low.value = text(range?.[0]);
    high.value = text(range?.[1]);
    clear.hidden = !range;
  };
  return {
    node: el("div", { class: "ends" }, low, el("span", { "aria-hidden": "true" }, "–"), high, fill(clear, "✕")),
    show,
  };
}

/** Values beyond the edges count in the first and the last bin, as in the counts of all rows. */
function clamped(values, edges) {
  const [low, high] = [edges[0], edges[edges.length - 1]];
  return Float64Array.from(values, (each) => Math.max(low, Math.min(high, each)));
}
