/** What a comparison has for the table and its histograms: for each figure, a column of differences, B's minus A's. */

import { Model } from "../model.js";

/**
 * The model of a comparison. `difference` gives the name of the column of differences of a figure.
 *
 * @param {object} comparison ComparisonData of melmill.
 * @returns {Model}
 */
export function comparisonModel(comparison) {
  const { rows, fields } = comparison;
  const histograms = fields.map((figure) => ({
    ...figure,
    ...spread(figure),
    field: difference(figure.field),
    label: `${figure.label}: B − A`,
  }));
  const labels = Object.fromEntries([
    ...Object.entries(rows.labels),
    ...fields.map((figure) => [difference(figure.field), differenceLabel(rows, figure)]),
  ]);
  return new Model({
    ...comparison,
    rows: { ...rows, labels, columns: withDifferences(rows.columns, fields) },
    histograms,
    groups: [],
  });
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
  return { label: `${label}: B − A`, kind: "number", unit, digits: labels[`a_${field}`]?.digits ?? 3, help };
}
