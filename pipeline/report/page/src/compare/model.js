/** What a comparison has for the table and its histograms: for each figure, a column of differences, B's minus A's. */

import { Model } from "../model.js";

/**
 * A comparison with what matters first: figures of which one value is better, then the others, and lists in this order.
 * Figures that are the same throughout are in `unchanged`.
 *
 * @param {object} comparison ComparisonData of melmill.
 */
export function arranged(comparison) {
  const isSame = (figure) =>
    figure.better
      ? figure.a_better + figure.b_better === 0
      : figure.difference_p05 === 0 && figure.difference_p95 === 0 && figure.difference_median === 0;
  const changed = comparison.fields.filter((figure) => !isSame(figure));
  const fields = [...changed.filter(({ better }) => better), ...changed.filter(({ better }) => !better)];
  const place = ({ id }) => fields.findIndex(({ field }) => field === id) >>> 0;
  const lists = [...comparison.lists].sort((one, other) => place(one) - place(other));
  return { ...comparison, fields, lists, unchanged: comparison.fields.filter(isSame) };
}

/**
 * The model of a comparison. `difference` gives the name of the column of differences of a figure.
 *
 * @param {object} comparison ComparisonData of melmill, arranged.
 * @returns {Model}
 */
export function comparisonModel(comparison) {
  const { rows, fields } = comparison;
  const histograms = fields.map((figure) => ({
    ...figure,
    ...spread(figure),
    field: difference(figure.field),
    label: `${figure.label}: B\u00a0−\u00a0A`,
  }));
  const differences = fields.map((figure) => [difference(figure.field), differenceLabel(rows, figure)]);
  const [texts, numbers] = ["text", "number"].map((kind) =>
    Object.entries(rows.labels).filter(([, label]) => label.kind === kind),
  );
  const labels = Object.fromEntries([...texts, ...differences, ...numbers]);
  return new Model(
    {
      ...comparison,
      rows: { ...rows, labels },
      histograms,
      groups: [],
    },
    (columns) => withDifferences(columns, fields),
  );
}

/** Name of the column of a figure's differences. */
export function difference(field) {
  return `difference_${field}`;
}

/** Columns with one more for each figure. A difference is null where one of both was not measured. */
export function withDifferences(columns, fields) {
  const of = ({ field }) => {
    const [a, b] = [columns[`a_${field}`], columns[`b_${field}`]];
    return a.map((each, row) => (each === null || b[row] === null ? null : b[row] - each));
  };
  const all = fields.filter(({ field }) => columns[`a_${field}`] && columns[`b_${field}`]);
  return { ...columns, ...Object.fromEntries(all.map((figure) => [difference(figure.field), of(figure)])) };
}

function spread({ edges, difference_median: median, difference_p05: p05, difference_p95: p95 }) {
  return { median, p05, p95, minimum: edges[0], maximum: edges[edges.length - 1] };
}

function differenceLabel({ labels }, { field, label, unit, help }) {
  return {
    label: `${label}: B\u00a0−\u00a0A`,
    kind: "number",
    unit,
    digits: (labels[`a_${field}`]?.digits ?? 2) + 1,
    help,
  };
}
