/** The page that compares two outputs of the same utterances. */

import { el, fill } from "../dom.js";
import { count, signed } from "../format.js";
import { framed } from "../frame.js";
import { Explorer } from "../parts/explore.js";
import { listen } from "../parts/listen.js";
import { plainTable } from "../parts/records.js";
import { BlindTrial } from "./blind_view.js";
import { comparisonOverview } from "./figures.js";
import { arranged, comparisonModel, difference } from "./model.js";
import { currentPair, pairView } from "./pair.js";

/**
 * The page of a comparison.
 *
 * @param {object} told ComparisonData of melmill.
 * @returns {HTMLElement[]}
 */
export function comparePage(told) {
  const comparison = arranged(told);
  const model = comparisonModel(comparison);
  const main = comparison.fields[0]?.field;
  const wide = [
    difference(main),
    `a_${main}`,
    `b_${main}`,
    ...comparison.fields.slice(1, 4).map(({ field }) => difference(field)),
  ];
  const clips = new Map(comparison.clips.map((clip) => [clip.row.key, clip]));
  const explorer = new Explorer(model, ({ row }) => pairView(model, clips.get(row.key) ?? { row }), {
    wide,
    narrow: wide.slice(0, 1),
  });
  const sections = [
    {
      id: "listen",
      title: "Listen",
      note: "Both play together; one is heard. Switch as often as you like, at the same position.",
      content: listenOrBlind(model, main),
    },
    {
      id: "utterances",
      title: "Utterances",
      note: "Drag over bars to narrow the table; click a row to look at it.",
      content: explorer.node,
    },
    ...onlyInOne(comparison),
    { id: "versions", title: "Versions", content: versions(comparison) },
  ];
  onKeys();
  return framed(
    `${comparison.a.output.name} and ${comparison.b.output.name} – melmill comparison`,
    comparisonOverview(comparison),
    sections,
  );
}

/** The lists with names, or the blind trial in their place. */
function listenOrBlind(model, main) {
  const { report } = model;
  const content = el("div", {});
  const trial = new BlindTrial(report);
  const value = ({ id }, { row }) => {
    const field = report.fields.some((figure) => figure.field === id) ? id : main;
    return signed(row[`b_${field}`] - row[`a_${field}`]);
  };
  const ways = {
    value,
    view: (clip) => pairView(model, clip),
    play: () => currentPair()?.toggle(),
    outline: ({ b }) => b.peaks,
  };
  const blind = el("button", { type: "button", class: "blind-switch", "aria-pressed": false });
  const show = (isBlind) => {
    blind.setAttribute("aria-pressed", isBlind);
    fill(blind, isBlind ? "Leave the blind mode" : "Compare blind");
    document.documentElement.classList.toggle("is-blind", isBlind);
    currentPair()?.pause();
    fill(content, isBlind ? trial.node : listen(report, ways));
    if (isBlind) trial.show();
  };
  blind.addEventListener("click", () => show(blind.getAttribute("aria-pressed") !== "true"));
  show(false);
  return el(
    "div",
    {},
    el(
      "p",
      { class: "mode" },
      blind,
      el("span", { class: "note" }, "In the blind mode A and B are hidden and shuffled, and you choose."),
    ),
    content,
  );
}

/** Space plays, x switches, and in the blind mode 1, 2 and 0 choose: anywhere outside of fields and buttons. */
function onKeys() {
  document.addEventListener("keydown", (event) => {
    if (
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.target.closest("input:not([type=range]), select, textarea")
    )
      return;
    const pair = currentPair();
    const choice = { 1: "1", 2: "2", 0: "same" }[event.key];
    const trial = document.querySelector("dialog") ? null : document.querySelector(".blind");
    if (event.key === "x") pair?.hear();
    else if (event.key === " " && !event.target.closest("button, summary, a, tr")) pair?.toggle();
    else if (choice && trial) trial.dispatchEvent(new CustomEvent("melmill-choice", { detail: choice }));
    else return;
    event.preventDefault();
  });
}

function onlyInOne({ only_in_a: a, only_in_b: b }) {
  const list = (name, { count: number, keys }) =>
    number
      ? el(
          "div",
          { class: "panel" },
          el("h3", {}, `Only in ${name}`, el("small", {}, ` ${count(number)}`)),
          el(
            "ul",
            { class: "examples" },
            keys.map((key) => el("li", { class: "key", dir: "auto" }, key)),
          ),
        )
      : null;
  if (!a.count && !b.count) return [];
  return [{ id: "only", title: "In one alone", content: el("div", { class: "pair" }, list("A", a), list("B", b)) }];
}

function versions({ a, b }) {
  const names = [...new Set([...Object.keys(a.versions), ...Object.keys(b.versions)])];
  const rows = names.map((name) => [name, a.versions[name] ?? "–", b.versions[name] ?? "–"]);
  return plainTable(
    ["", "A", "B"],
    [
      ...rows,
      ["vocoder", a.output.vocoder ?? "–", b.output.vocoder ?? "–"],
      ["store", a.output.store ?? "–", b.output.store ?? "–"],
    ],
  );
}
