import assert from "node:assert/strict";
import test from "node:test";
import { scrolledTo, slice } from "../../../pipeline/report/page/src/virtual.js";

const table = (rows) => ({ rows, rowHeight: 50, viewport: 500 });
const total = (shown) => shown.above + shown.below + (shown.last - shown.first) * 50;

test("a short table is drawn whole", () => {
  assert.deepEqual(slice(table(5), 0), { first: 0, last: 5, above: 0, below: 0 });
});

test("a table without rows draws nothing", () => {
  assert.deepEqual(slice(table(0), 0), { first: 0, last: 0, above: 0, below: 0 });
});

test("the rows in sight are drawn, and the table keeps its height", () => {
  const shown = slice(table(1000), 5025);
  assert.ok(shown.first <= 100 && shown.last >= 111 && shown.last - shown.first < 30);
  assert.equal(shown.above, shown.first * 50);
  assert.equal(total(shown), 50_000);
});

for (const rows of [1000, 1_000_000, 20_000_000]) {
  test(`the ends of ${rows} rows can be reached, below what browsers can show`, () => {
    const height = total(slice(table(rows), 0));
    assert.ok(height <= 15e6);
    assert.equal(slice(table(rows), 0).first, 0);
    const end = slice(table(rows), height - 500);
    assert.equal(end.last, rows);
    assert.ok(end.below < 1);
  });

  test(`any of ${rows} rows can be brought into sight`, () => {
    for (const row of [0, Math.floor(rows / 3), rows - 1]) {
      const shown = slice(table(rows), scrolledTo(table(rows), row, 0));
      assert.ok(shown.first <= row && row < shown.last, `row ${row} of ${shown.first} to ${shown.last}`);
    }
  });
}

test("a row that is in sight is not scrolled to", () => {
  assert.equal(scrolledTo(table(1000), 3, 100), 100);
});

test("rows stay where they are drawn while a squeezed table scrolls", () => {
  const at = (scrollTop) => {
    const shown = slice(table(1_000_000), scrollTop);
    return scrollTop - shown.above - (Math.floor((scrollTop * (50e6 - 500)) / (15e6 - 500) / 50) - shown.first) * 50;
  };
  for (const scrollTop of [1e6, 7.3e6, 14e6]) assert.ok(at(scrollTop) >= 0 && at(scrollTop) < 50.01);
});
