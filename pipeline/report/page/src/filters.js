/**
 * What the table is narrowed to, as a value: a text that is searched for, a range for each numeric field, the chosen values
 * and the contained text of each text field. Nothing here knows of the page.
 *
 * @typedef {{query: string, ranges: Object<string, [number, number]>, values: Object<string, string[]>,
 *   contained: Object<string, string>}} Filters
 */

/** @type {Filters} */
export const NO_FILTERS = Object.freeze({ query: "", ranges: {}, values: {}, contained: {} });

/** With a range lo <= value <= hi for a field; without one if both ends are open. */
export function withRange(filters, field, low, high) {
  const { [field]: _, ...ranges } = filters.ranges;
  const open = low === Number.NEGATIVE_INFINITY && high === Number.POSITIVE_INFINITY;
  return { ...filters, ranges: open ? ranges : { ...ranges, [field]: [low, high] } };
}

/** With one more value of a field, or without it if it was chosen. */
export function withValue(filters, field, value) {
  const chosen = filters.values[field] ?? [];
  const kept = chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value];
  const { [field]: _, ...values } = filters.values;
  return { ...filters, values: kept.length ? { ...values, [field]: kept } : values };
}

/** With a text that a field has to contain, letter by letter. */
export function withContained(filters, field, text) {
  return { ...filters, contained: { ...filters.contained, [field]: text } };
}

/** Without anything about a field. */
export function withoutField(filters, field) {
  const without = (all) => Object.fromEntries(Object.entries(all).filter(([each]) => each !== field));
  const { ranges, values, contained } = filters;
  return { ...filters, ranges: without(ranges), values: without(values), contained: without(contained) };
}

/** Fields that are narrowed. */
export function narrowedFields({ ranges, values, contained }) {
  return [...new Set([ranges, values, contained].flatMap(Object.keys))];
}

/** With another text to search for. */
export function withQuery(filters, query) {
  return { ...filters, query };
}

/** What a check of the report shows: `{field, min, max, values}`, each end and the values optional. */
export function fromCheck({ field, min, max, values }) {
  if (values) return { ...NO_FILTERS, values: { [field]: values } };
  return withRange(NO_FILTERS, field, min ?? Number.NEGATIVE_INFINITY, max ?? Number.POSITIVE_INFINITY);
}

/** Whether every row passes. */
export function isEmpty(filters) {
  return !filters.query.trim() && !narrowedFields(filters).length;
}

/**
 * The numbers of the rows that pass, in order.
 *
 * @param {import("./rows.js").Rows} rows
 * @param {Filters} filters
 * @returns {Uint32Array}
 */
export function passing(rows, filters) {
  const tests = [
    ...rangeTests(rows, filters.ranges),
    ...valueTests(rows, filters.values),
    ...containedTests(rows, filters.contained),
    ...wordTests(rows, filters.query),
  ];
  const kept = new Uint32Array(rows.length);
  let size = 0;
  for (let row = 0; row < rows.length; row += 1) if (tests.every((test) => test(row))) kept[size++] = row;
  return kept.subarray(0, size);
}

function rangeTests(rows, ranges) {
  return Object.entries(ranges).map(([field, [low, high]]) => {
    const numbers = rows.column(field);
    return (row) => numbers[row] >= low && numbers[row] <= high;
  });
}

function valueTests(rows, values) {
  return Object.entries(values).map(([field, chosen]) => {
    const texts = rows.column(field);
    const set = new Set(chosen);
    return (row) => set.has(texts[row]);
  });
}

function containedTests(rows, contained) {
  return Object.entries(contained).map(([field, text]) => {
    const texts = rows.column(field);
    return (row) => String(texts[row] ?? "").includes(text);
  });
}

/** Every word has to be somewhere in one of the row's texts, in any case. */
function wordTests(rows, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const searched = words.length ? rows.searched() : [];
  return words.map((word) => (row) => searched[row].includes(word));
}
