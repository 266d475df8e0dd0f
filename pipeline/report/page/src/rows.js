/** The rows of the report as columns: numbers as Float64Array, where NaN is "not measured", and texts as they are. */

const SEARCHED = ["key", "text", "speaker", "language"];

export class Rows {
  #columns;
  #searched = null;

  /** @param {Object<string, any[]>} columns arrays of one length, by field. */
  constructor(columns) {
    this.#columns = Object.fromEntries(Object.entries(columns).map(([field, values]) => [field, packed(values)]));
    this.length = columns.key.length;
  }

  /** Names of the columns. */
  get fields() {
    return Object.keys(this.#columns);
  }

  /** All values of a field. A field that the rows do not have is NaN throughout. */
  column(field) {
    return this.#columns[field] ?? new Float64Array(this.length).fill(Number.NaN);
  }

  /** One value. */
  at(row, field) {
    return this.#columns[field]?.[row];
  }

  /** One row as an object. */
  row(number) {
    return Object.fromEntries(this.fields.map((field) => [field, this.#columns[field][number]]));
  }

  /** Lower-case text of each row that a search looks through; made when it is first asked for. */
  searched() {
    const texts = SEARCHED.filter((field) => this.#columns[field]).map((field) => this.#columns[field]);
    this.#searched ??= Array.from({ length: this.length }, (_, row) =>
      texts
        .map((column) => column[row] ?? "")
        .join("\n")
        .toLowerCase(),
    );
    return this.#searched;
  }
}

/** Several parts of the same columns as one. */
export function together(parts) {
  const fields = Object.keys(parts[0] ?? { key: [] });
  return new Rows(Object.fromEntries(fields.map((field) => [field, parts.flatMap((part) => part[field])])));
}

/**
 * Row numbers in the order of a field. What was not measured comes last in both directions; rows of one value keep their
 * order.
 *
 * @param {Rows} rows
 * @param {Uint32Array} numbers rows to be sorted; it is left as it is.
 * @param {string} field
 * @param {boolean} descending
 * @returns {Uint32Array}
 */
export function sorted(rows, numbers, field, descending) {
  const values = rows.column(field);
  const sign = descending ? -1 : 1;
  const compare = values instanceof Float64Array ? byNumber(values, sign) : byText(values, sign);
  return Uint32Array.from(numbers).sort((one, other) => compare(one, other) || one - other);
}

/** How many of some rows lie between each pair of edges: [n + 1] edges give [n] counts. The last bin holds its upper edge. */
export function binned(values, numbers, edges) {
  const counts = new Array(edges.length - 1).fill(0);
  for (const row of numbers) {
    const value = values[row];
    if (value >= edges[0] && value <= edges[edges.length - 1]) counts[binOf(value, edges)] += 1;
  }
  return counts;
}

function binOf(value, edges) {
  let [low, high] = [0, edges.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (edges[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}

function packed(values) {
  if (values instanceof Float64Array) return values;
  const numeric =
    values.every((each) => each === null || typeof each === "number") && values.some((each) => each !== null);
  return numeric ? Float64Array.from(values, (each) => each ?? Number.NaN) : values;
}

function byNumber(values, sign) {
  return (one, other) => {
    const [a, b] = [values[one], values[other]];
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return sign * (a - b);
  };
}

function byText(values, sign) {
  return (one, other) => {
    const [a, b] = [values[one] ?? "", values[other] ?? ""];
    if (!a || !b) return Number(!a) - Number(!b);
    return a < b ? -sign : a > b ? sign : 0;
  };
}
