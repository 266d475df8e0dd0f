import assert from "node:assert/strict";
import test from "node:test";
import * as format from "../../../pipeline/report/page/src/format.js";

const FUNCTIONS = { ...format };
const CASES = [
  ["count", [1234567], "1,234,567"],
  ["count", [null], "–"],
  ["figure", [0], "0"],
  ["figure", [0.31234], "0.312"],
  ["figure", [0.0004321], "0.00043"],
  ["figure", [4.56789, "s"], "4.57 s"],
  ["figure", [-23.456, "dB"], "−23.5 dB"],
  ["figure", [12345.6], "12,346"],
  ["figure", [Number.NaN, "dB"], "–"],
  ["signed", [0.25], "+0.250"],
  ["signed", [-0.25], "−0.250"],
  ["signed", [0], "0"],
  ["percent", [0], "0 %"],
  ["percent", [1], "100 %"],
  ["percent", [0.125], "13 %"],
  ["percent", [0.0125], "1.3 %"],
  ["percent", [0.00001], "< 0.1 %"],
  ["percent", [0.99999], "> 99.9 %"],
  ["span", [0.42], "0.420 s"],
  ["span", [52.4], "52 s"],
  ["span", [250], "4 min 10 s"],
  ["span", [3600], "1 h"],
  ["span", [6720], "1 h 52 min"],
  ["span", [360000 * 1.3], "130 h"],
  ["clock", [0], "0:00.0"],
  ["clock", [65.29], "1:05.2"],
  ["clock", [0.3], "0:00.3"],
  ["bytes", [999], "999 B"],
  ["bytes", [1536000], "1.5 MB"],
  ["bytes", [999999], "1.0 MB"],
  ["moment", ["2026-11-30T01:20:00+00:00"], "30 Nov 2026, 01:20 UTC"],
  ["moment", [null], "–"],
  ["moment", ["no time"], "no time"],
  ["plural", [1, "utterance"], "1 utterance"],
  ["plural", [1200, "utterance"], "1,200 utterances"],
  ["hertz", [22050], "22.05 kHz"],
];

for (const [name, values, text] of CASES) {
  test(`${name}(${values.join(", ")}) reads as ${text}`, () => assert.equal(FUNCTIONS[name](...values), text));
}
