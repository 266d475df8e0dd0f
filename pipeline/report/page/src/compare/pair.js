/** One utterance of both outputs: their players run together, and one key switches which is heard. */

import { el, fill } from "../dom.js";
import { clock, signed } from "../format.js";
import { heading } from "../parts/clip.js";
import { plainTable } from "../parts/records.js";
import { stage } from "../parts/stage.js";
import { difference } from "./model.js";
import { PairPlayer } from "./pair_player.js";

/** Pairs with their controls, the last one last. */
let shown = [];

/**
 * The player of a pair: what plays before it stops.
 *
 * @param {[string, string]} files
 * @param {[number, number]} volumes
 */
export function startPair(files, volumes) {
  currentPair()?.pause();
  return new PairPlayer(files, volumes);
}

/** The pair that came to the page last, of those that are on it. */
export function currentPair() {
  shown = shown.filter(({ node }) => node.isConnected);
  return shown.at(-1)?.pair;
}

/**
 * Buttons to play, and to choose which of both is heard.
 *
 * @param {PairPlayer} pair
 * @param {[string, string]} names of both.
 * @param {number} duration [s]
 */
export function pairControls(pair, names, duration) {
  const play = el("button", { type: "button", class: "play", onclick: () => pair.toggle() });
  const sides = names.map((name, at) =>
    el("button", { type: "button", class: "letter", onclick: () => pair.hear(at) }, name),
  );
  const time = el("span", { class: "time" });
  const problem = el(
    "p",
    { class: "problem", role: "alert", hidden: true },
    "The audio cannot be played: a file is missing, or this browser does not know its format.",
  );
  pair.addEventListener("changed", show);
  pair.addEventListener("moved", move);
  pair.addEventListener("failed", () => {
    problem.hidden = false;
  });
  function move() {
    if (pair.isPlaying && !node.isConnected) pair.pause();
    fill(time, `${clock(pair.position)} / ${clock(duration)}`);
  }
  function show() {
    fill(play, pair.isPlaying ? "❚❚ Pause" : "▶ Play");
    for (const [at, side] of sides.entries()) side.setAttribute("aria-pressed", pair.heard === at);
    move();
  }
  const hint = el(
    "span",
    { class: "note keys" },
    el("kbd", {}, "space"),
    " plays, ",
    el("kbd", {}, "x"),
    " switches at the same position",
  );
  const node = el(
    "div",
    {},
    el(
      "div",
      { class: "controls" },
      play,
      el("div", { class: "switch", role: "group", "aria-label": "Heard now" }, sides),
      time,
      hint,
    ),
    problem,
  );
  show();
  shown.push({ pair, node });
  return node;
}

/**
 * An utterance of both outputs.
 *
 * @param {import("../model.js").Model} model
 * @param {object} clip ComparedExample of melmill, or `{row}` if the report has no clips of it.
 */
export function pairView(model, { row, a, b, same }) {
  const node = el("article", { class: "clip pair-view" }, heading(model, row));
  if (a?.file && b?.file) node.append(...heardTogether(row, a, b));
  else node.append(el("p", { class: "note" }, a?.note || b?.note || "This report has no clips of it."));
  if (same) node.append(el("p", { class: "note" }, "Both have the same samples."));
  node.append(figures(model, row));
  return node;
}

function heardTogether(row, a, b) {
  const pair = startPair([a.file, b.file]);
  const duration = row.duration ?? row.a_duration;
  const play = (side) => ({
    seek: (seconds) => pair.seek(seconds),
    position: () => pair.position,
    label: `${side}, ${row.key}`,
  });
  const pictures = [
    stage(a, duration, play("A"), { input: true, legend: false }),
    stage(b, duration, play("B"), { input: !a.detail, legend: true }),
  ];
  const sides = pictures.map(({ node }, at) =>
    el("section", { class: `one side-${"ab"[at]}` }, el("h4", {}, el("span", { class: "letter" }, "AB"[at])), node),
  );
  pair.addEventListener("moved", () => {
    for (const picture of pictures) picture.move();
  });
  pair.addEventListener("changed", () => {
    for (const [at, side] of sides.entries()) side.classList.toggle("heard", pair.heard === at);
  });
  sides[0].classList.add("heard");
  return [pairControls(pair, ["A", "B"], duration), el("div", { class: "both" }, sides)];
}

function figures(model, row) {
  const fields = model.report.fields.filter(
    ({ field }) => Number.isFinite(row[`a_${field}`]) && Number.isFinite(row[`b_${field}`]),
  );
  const cells = ({ field, label }) => {
    const [one, other] = [row[`a_${field}`], row[`b_${field}`]];
    const unit = model.labels[difference(field)]?.unit;
    return [label, model.shown(`a_${field}`, one), model.shown(`b_${field}`, other), signed(other - one, unit)];
  };
  return plainTable(["", "A", "B", "B − A"], fields.map(cells));
}
