import assert from "node:assert/strict";
import test from "node:test";
import * as filters from "../../../pipeline/report/page/src/filters.js";
import { Rows } from "../../../pipeline/report/page/src/rows.js";

const { NO_FILTERS, passing, withoutField, withQuery, withRange, withValue } = filters;
const rows = new Rows({
  key: ["en/one", "en/two", "de/one", "de/two"],
  text: ["Hello there", "Good evening", "Guten Abend", ""],
  speaker: ["ann", "bob", "ann", ""],
  distance: [0.1, 0.5, null, 0.9],
});
const left = (each) => [...passing(rows, each)];

test("without filters every row passes", () => {
  assert.ok(filters.isEmpty(NO_FILTERS));
  assert.deepEqual(left(NO_FILTERS), [0, 1, 2, 3]);
});

test("a range holds its ends, and what was not measured lies in no range", () => {
  assert.deepEqual(left(withRange(NO_FILTERS, "distance", 0.1, 0.5)), [0, 1]);
  assert.deepEqual(left(withRange(NO_FILTERS, "distance", 0.5, Number.POSITIVE_INFINITY)), [1, 3]);
});

test("a range that is open at both ends is none", () => {
  const narrowed = withRange(NO_FILTERS, "distance", 0, 1);
  assert.ok(filters.isEmpty(withRange(narrowed, "distance", Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)));
});

test("several values of a field widen it, and the same value again takes it out", () => {
  const ann = withValue(NO_FILTERS, "speaker", "ann");
  const both = withValue(ann, "speaker", "");
  assert.deepEqual(left(ann), [0, 2]);
  assert.deepEqual(left(both), [0, 2, 3]);
  assert.deepEqual(left(withValue(both, "speaker", "")), [0, 2]);
  assert.ok(filters.isEmpty(withValue(ann, "speaker", "ann")));
});

test("each word of a search has to be in the row, in any case and any field", () => {
  assert.deepEqual(left(withQuery(NO_FILTERS, " GUT ann ")), [2]);
  assert.deepEqual(left(withQuery(NO_FILTERS, "one")), [0, 2]);
});

test("filters of several fields hold together, and each can be taken out", () => {
  const narrowed = withQuery(withRange(withValue(NO_FILTERS, "speaker", "ann"), "distance", 0, 1), "one");
  assert.deepEqual(left(narrowed), [0]);
  assert.deepEqual(left(withoutField(narrowed, "distance")), [0, 2]);
});

test("what a check is about becomes a filter", () => {
  assert.deepEqual(left(filters.fromCheck({ field: "distance", min: 0.4, max: null, values: null })), [1, 3]);
  assert.deepEqual(left(filters.fromCheck({ field: "speaker", min: null, max: null, values: ["bob"] })), [1]);
});

test("a contained text is looked for in its field alone, letter by letter", () => {
  assert.deepEqual(left(filters.withContained(NO_FILTERS, "text", "Go")), [1]);
  assert.deepEqual(left(filters.withContained(NO_FILTERS, "text", "go")), []);
  assert.deepEqual(left(filters.withContained(NO_FILTERS, "text", "one")), []);
});

test("fields that are narrowed are told once each", () => {
  const narrowed = filters.withContained(withValue(withRange(NO_FILTERS, "distance", 0, 1), "text", "a"), "text", "b");
  assert.deepEqual(filters.narrowedFields(narrowed), ["distance", "text"]);
});
