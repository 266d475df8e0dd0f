import assert from "node:assert/strict";
import test from "node:test";
import * as blind from "../../../pipeline/report/page/src/compare/blind.js";
import { arranged, withDifferences } from "../../../pipeline/report/page/src/compare/model.js";

const keys = Array.from({ length: 2000 }, (_, number) => `speaker/${number}`);

test("each output is heard first about as often as the other, and the seed decides", () => {
  const sides = (seed) => keys.map((key) => blind.heardFirst({ seed }, key));
  for (const seed of [0, 1, 4294967295]) {
    const first = sides(seed).filter((side) => side === "a").length;
    assert.ok(Math.abs(first - 1000) < 4 * Math.sqrt(500), `${first} of 2000`);
  }
  const agreeing = sides(1).filter((side, at) => side === sides(2)[at]).length;
  assert.ok(Math.abs(agreeing - 1000) < 4 * Math.sqrt(500), `${agreeing} of 2000`);
});

test("a trial has the same order whenever the page is opened, and another with another seed", () => {
  const order = (seed) => blind.shuffled({ seed }, keys.slice(0, 20));
  assert.deepEqual(order(7), order(7));
  assert.notDeepEqual(order(7), order(8));
  assert.deepEqual([...order(7)].sort(), keys.slice(0, 20).sort());
});

test("a choice of 1 or 2 is one of the output that was heard as it", () => {
  const key = keys.find((each) => blind.heardFirst({ seed: 3 }, each) === "b");
  const trial = (choice) => blind.withChoice({ seed: 3, choices: {} }, key, choice);
  assert.deepEqual(
    ["1", "2", "same"].map((choice) => blind.chosen(trial(choice), key)),
    ["b", "a", "same"],
  );
});

test("the same choice again takes it back, another replaces it", () => {
  const one = blind.withChoice({ seed: 3, choices: {} }, "k", "1");
  assert.deepEqual(blind.withChoice(one, "k", "1").choices, {});
  assert.deepEqual(blind.withChoice(one, "k", "2").choices, { k: "2" });
});

function trialWith(a, b, same) {
  const wanted = [...Array(a).fill("a"), ...Array(b).fill("b"), ...Array(same).fill("same")];
  const side = (key, want) => (want === "same" ? want : blind.heardFirst({ seed: 5 }, key) === want ? "1" : "2");
  return { seed: 5, choices: Object.fromEntries(wanted.map((want, at) => [keys[at], side(keys[at], want)])) };
}

test("the result counts choices by output, and its p is that of the two-sided sign test", () => {
  const near = (trial, p) => assert.ok(Math.abs(blind.result(trial).p - p) < 1e-9, `${blind.result(trial).p}`);
  assert.deepEqual({ ...blind.result(trialWith(2, 8, 3)), p: 0 }, { a: 2, b: 8, same: 3, p: 0 });
  near(trialWith(2, 8, 3), 0.109375); // scipy.stats.binomtest(2, 10).pvalue
  near(trialWith(0, 6, 0), 0.03125);
  near(trialWith(5, 5, 1), 1);
  near(trialWith(0, 0, 2), 1);
});

test("the export names each choice's output, and what was heard as 1", () => {
  const told = blind.exported(trialWith(1, 1, 1), { a: { name: "one" }, b: { name: "two" } }, true, new Date(0));
  assert.deepEqual(
    told.choices.map(({ chosen }) => chosen),
    ["a", "b", "same"],
  );
  assert.deepEqual(
    [told.a.name, told.b.name, told.levels_matched, told.exported],
    ["one", "two", true, "1970-01-01T00:00:00.000Z"],
  );
  for (const { key, heard_as_1: first } of told.choices) assert.equal(first, blind.heardFirst({ seed: 5 }, key));
});

test("differences are B's minus A's, and null where one was not measured", () => {
  const columns = withDifferences({ key: ["k", "l"], a_x: [1, null], b_x: [3, 4] }, [{ field: "x" }, { field: "y" }]);
  assert.deepEqual(columns.difference_x, [2, null]);
  assert.ok(!("difference_y" in columns));
});

test("figures of which one value is better come first, lists follow them, and what is the same throughout is apart", () => {
  const one = { difference_median: 0, difference_p05: 0, difference_p95: 0 };
  const fields = [
    { ...one, field: "duration", better: null },
    { ...one, field: "level", better: null, difference_p95: 1 },
    { ...one, field: "clipped", better: "lower", a_better: 0, b_better: 0 },
    { ...one, field: "distance", better: "lower", a_better: 0, b_better: 1 },
  ];
  const lists = [{ id: "random" }, { id: "level" }, { id: "distance" }];
  const told = arranged({ fields, lists });
  assert.deepEqual(
    told.fields.map(({ field }) => field),
    ["distance", "level"],
  );
  assert.deepEqual(
    told.lists.map(({ id }) => id),
    ["distance", "level", "random"],
  );
  assert.deepEqual(
    told.unchanged.map(({ field }) => field),
    ["duration", "clipped"],
  );
});
