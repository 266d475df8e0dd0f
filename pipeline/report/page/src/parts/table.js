/** The table of utterances. Only the rows in sight are in the page, so a million scroll as ten do. */

import { el, fill } from "../dom.js";
import { player } from "../player.js";
import { scrolledTo, slice } from "../virtual.js";

const ROW_HEIGHT = 52;
const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

/**
 * A table.
 *
 * @param {import("../model.js").Model} model
 * @param {{sort: (field: string) => void, open: (place: number) => void}} on what a person does.
 * @returns {{node: HTMLElement, show: (shown: {numbers: Uint32Array, fields: string[], sort: object}) => void}}
 *   numbers: the rows, in order.
 */
export function table(model, on) {
  const head = el("thead", {});
  const body = el("tbody", {});
  const grid = el("table", { role: "grid", "aria-label": "Utterances" }, head, body);
  const node = el("div", { class: "scroller" }, grid);
  const state = { numbers: new Uint32Array(), fields: [], active: 0 };
  const measures = () => ({
    rows: state.numbers.length,
    rowHeight: ROW_HEIGHT,
    viewport: Math.max(ROW_HEIGHT, node.clientHeight - head.offsetHeight),
  });
  const draw = () => drawRows(model, body, state, slice(measures(), node.scrollTop), on);
  const activate = (place) => {
    state.active = Math.max(0, Math.min(state.numbers.length - 1, place));
    node.scrollTop = scrolledTo(measures(), state.active, node.scrollTop);
    draw();
    body.querySelector('tr[tabindex="0"]')?.focus({ preventScroll: true });
  };
  node.addEventListener("scroll", () => requestAnimationFrame(draw));
  body.addEventListener("keydown", (event) => walk(event, state, activate, on, model));
  new ResizeObserver(draw).observe(node);
  player.addEventListener("changed", () => markPlaying(model, body, state));
  const show = ({ numbers, fields, sort }) => {
    Object.assign(state, { numbers, fields, active: 0 });
    node.scrollTop = 0;
    grid.setAttribute("aria-rowcount", numbers.length + 1);
    grid.style.setProperty("--columns", fields.length);
    fill(head, headings(model, fields, sort, on.sort));
    draw();
  };
  return { node, show };
}

function headings(model, fields, sort, onSort) {
  const heading = (field) => {
    const direction = sort.field === field ? (sort.descending ? "descending" : "ascending") : null;
    const { label = "Utterance", unit, help } = model.labels[field] ?? {};
    const arrow = { ascending: " ↑", descending: " ↓" }[direction] ?? "";
    const button = el(
      "button",
      { type: "button", title: help || null, onclick: () => onSort(field) },
      label,
      unit ? el("small", {}, ` ${unit}`) : null,
      arrow,
    );
    return el("th", { scope: "col", "aria-sort": direction, class: classOf(model, field) }, button);
  };
  return el(
    "tr",
    { "aria-rowindex": 1 },
    model.isPlayed ? el("th", { scope: "col", class: "plays" }, el("span", { class: "hidden" }, "Play")) : null,
    heading("key"),
    fields.map(heading),
  );
}

function drawRows(model, body, state, { first, last, above, below }, on) {
  const focused = body.contains(document.activeElement);
  const spacer = (height) => el("tr", { "aria-hidden": "true", class: "space", style: { height: `${height}px` } });
  const rows = Array.from({ length: Math.max(0, last - first) }, (_, at) => rowOf(model, state, first + at, on));
  fill(body, spacer(above), rows, spacer(below));
  if (focused) body.querySelector('tr[tabindex="0"]')?.focus({ preventScroll: true });
}

function rowOf(model, state, place, on) {
  const { rows } = model;
  const number = state.numbers[place];
  const cell = (field) =>
    el("td", { class: classOf(model, field), dir: "auto" }, shortly(model, field, rows.at(number, field)));
  const node = el(
    "tr",
    { "aria-rowindex": place + 2, tabindex: place === state.active ? 0 : -1, "data-number": number },
    model.isPlayed ? el("td", { class: "plays" }, playButton(model, number)) : null,
    el(
      "td",
      { class: "utterance" },
      el("span", { class: "key", dir: "auto" }, rows.at(number, "key")),
      el("span", { class: "said", dir: "auto" }, rows.at(number, "text")),
    ),
    state.fields.map(cell),
  );
  node.addEventListener("click", () => {
    state.active = place;
    on.open(place);
  });
  return node;
}

function playButton(model, number) {
  const source = model.source(model.ofRow(number));
  if (!source) return null;
  const playing = player.isPlaying(source);
  const onclick = (event) => {
    event.stopPropagation();
    player.toggle(source);
  };
  const label = `${playing ? "Pause" : "Play"} ${model.rows.at(number, "key")}`;
  return el(
    "button",
    { type: "button", class: "play", tabindex: -1, "aria-label": label, onclick },
    playing ? "❚❚" : "▶",
  );
}

function markPlaying(model, body) {
  if (!model.isPlayed) return;
  for (const row of body.querySelectorAll("tr[data-number]"))
    fill(row.firstChild, playButton(model, Number(row.dataset.number)));
}

function walk(event, state, activate, on, model) {
  const step = STEPS[event.key];
  if (step !== undefined) activate(state.active + step);
  else if (event.key === "Enter") on.open(state.active);
  else if (event.key === " ") {
    const source = model.source(model.ofRow(state.numbers[state.active]));
    if (source) player.toggle(source);
  } else return;
  event.preventDefault();
}

/** The unit is in the heading. */
function shortly(model, field, value) {
  if (model.labels[field].kind === "text" || field === "shard") return model.shown(field, value);
  if (!Number.isFinite(value)) return "–";
  return value.toFixed(model.labels[field].digits ?? 0).replace("-", "−");
}

function classOf(model, field) {
  if (field === "key") return "utterance";
  return model.labels[field]?.kind === "number" ? "number" : "words";
}
