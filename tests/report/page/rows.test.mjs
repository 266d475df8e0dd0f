import assert from "node:assert/strict";
import test from "node:test";
import { binned, Rows, sorted, together } from "../../../pipeline/report/page/src/rows.js";

const rows = new Rows({ key: ["d", "a", "c", "b"], distance: [0.3, null, 0.1, 0.3], speaker: ["s1", "", "s0", "s1"] });
const all = Uint32Array.of(0, 1, 2, 3);
const order = (field, descending) => [...sorted(rows, all, field, descending)];

test("numbers are sorted, equal ones in their order, and what was not measured comes last in both directions", () => {
  assert.deepEqual(order("distance", false), [2, 0, 3, 1]);
  assert.deepEqual(order("distance", true), [0, 3, 2, 1]);
});

test("texts are sorted, and empty ones come last in both directions", () => {
  assert.deepEqual(order("key", false), [1, 3, 2, 0]);
  assert.deepEqual(order("speaker", true), [0, 3, 2, 1]);
});

test("sorting leaves the given numbers as they are", () => {
  order("key", false);
  assert.deepEqual([...all], [0, 1, 2, 3]);
});

test("a field that the rows do not have is not measured", () => {
  assert.ok(rows.column("loudness").every(Number.isNaN));
});

test("rows are searched in lower case, field by field", () => {
  assert.deepEqual(new Rows({ key: ["K1"], text: ["Ein Satz"], speaker: [null] }).searched(), ["k1\nein satz\n"]);
});

test("the last bin holds its upper edge, and what lies outside of the edges is in no bin", () => {
  const values = Float64Array.of(0, 0.5, 1, 1.5, 2, 2.1, -0.1, Number.NaN);
  assert.deepEqual(binned(values, values.keys(), [0, 1, 2]), [2, 3]);
});

test("binning some rows counts these alone", () => {
  assert.deepEqual(binned(Float64Array.of(0.5, 0.5, 1.5), [1, 2], [0, 1, 2]), [1, 1]);
});

test("chunks become one table, in order", () => {
  const joined = together([
    { key: ["a"], distance: [1] },
    { key: ["b", "c"], distance: [null, 3] },
  ]);
  assert.equal(joined.length, 3);
  assert.deepEqual(joined.row(2), { key: "c", distance: 3 });
  assert.ok(Number.isNaN(joined.at(1, "distance")));
});
