/** The first screen of a comparison: which outputs, who is nearer to the mels, and all figures side by side. */

import { el } from "../dom.js";
import { count, figure, percent, plural, signed, span } from "../format.js";
import { bigFigures, mark, subtitle } from "../parts/overview.js";

/** The first screen. */
export function comparisonOverview(comparison) {
  const { a, b, notes, fields, unchanged, matched, same, texts_changed: texts } = comparison;
  return el(
    "section",
    { id: "overview", class: "overview" },
    el("h1", {}, "A and B"),
    el("dl", { class: "sides" }, sideOf("A", a), sideOf("B", b)),
    el("p", { class: "verdict" }, el("span", {}, inOneSentence(comparison))),
    el(
      "div",
      { class: "compared" },
      fields.map((each) => comparedFigure(each)),
    ),
    unchanged.length
      ? el(
          "p",
          { class: "note" },
          `The same in A and B throughout: ${unchanged.map(({ label }) => label.toLowerCase()).join(", ")}.`,
        )
      : null,
    bigFigures([
      ["In both", count(matched), plural(matched, "utterance").replace(/^\S+ /, "")],
      ["Same samples", count(same), matched ? percent(same / matched) : null],
      ["Texts changed", count(texts), ""],
      ["Only in A", count(comparison.only_in_a.count), ""],
      ["Only in B", count(comparison.only_in_b.count), ""],
    ]),
    notes.length
      ? el(
          "ul",
          { class: "checks" },
          notes.map((note) => el("li", {}, mark("look"), el("div", {}, note))),
        )
      : null,
  );
}

/** What the comparison says, by the first figure of which one value is better. */
export function inOneSentence({ fields, matched, same }) {
  if (matched && same === matched) return "A and B have the same samples in every utterance.";
  const first = fields.find(({ better, a_better: a, b_better: b }) => better && a + b > 0);
  if (!first) return `${plural(matched, "utterance")} can be compared.`;
  const [name, number] = first.b_better >= first.a_better ? ["B", first.b_better] : ["A", first.a_better];
  const all = first.a_better + first.b_better + first.same;
  const label = first.label.charAt(0).toLowerCase() + first.label.slice(1);
  return `By ${label}, ${name} is better in ${count(number)} of ${plural(all, "utterance")}; B − A is ${signed(first.difference_median, first.unit)} in the median.`;
}

function sideOf(name, { output, summary }) {
  return el(
    "div",
    { class: `side side-${name.toLowerCase()}` },
    el("dt", {}, el("span", { class: "letter" }, name)),
    el(
      "dd",
      {},
      el("b", { dir: "auto" }, output.name),
      el("p", {}, subtitle(output)),
      el(
        "p",
        { class: "note" },
        `${plural(summary.utterances, "utterance")}, ${span(summary.seconds)} · run ${output.run_id}`,
      ),
    ),
  );
}

function comparedFigure({
  label,
  unit,
  help,
  better,
  a_median: a,
  b_median: b,
  a_better: forA,
  b_better: forB,
  same,
  difference_median: median,
}) {
  return el(
    "section",
    { class: "panel", title: help },
    el("h2", {}, label, unit ? el("small", {}, ` ${unit}`) : null),
    el(
      "p",
      { class: "medians" },
      el("span", {}, el("span", { class: "letter" }, "A"), ` ${figure(a)}`),
      el("span", {}, el("span", { class: "letter" }, "B"), ` ${figure(b)}`),
      el("span", { class: "note" }, `B − A ${signed(median)}`),
    ),
    better ? votes(forA, same, forB) : el("p", { class: "note" }, "Neither direction is better."),
  );
}

/** A bar of how many utterances are better in A, the same, and better in B. */
export function votes(forA, same, forB) {
  const all = forA + same + forB;
  if (!all) return null;
  const part = (className, number) =>
    number ? el("span", { class: className, style: { "flex-grow": String(number) } }) : null;
  const told = `A better ${count(forA)} · same ${count(same)} · B better ${count(forB)}`;
  return el(
    "div",
    {},
    el("div", { class: "votes", "aria-hidden": "true" }, part("for-a", forA), part("same", same), part("for-b", forB)),
    el("p", { class: "note" }, told),
  );
}
