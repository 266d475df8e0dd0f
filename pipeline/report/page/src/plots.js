/** Plots over uPlot, in the colours of the theme. */

import { ticks } from "d3-array";
import uPlot from "uplot";
import { el, token } from "./dom.js";
import { tick } from "./format.js";

const FONT = "11px system-ui, sans-serif";

/**
 * Bars between edges. Dragging over them, or a click on one, chooses bins.
 *
 * @param {HTMLElement} node what it is drawn into.
 * @param {number} width [px]
 * @param {{edges: number[], counts: number[], mark: number}} shown mark: a value with a line of its own.
 * @param {(first: number, last: number) => void} choose gets bins first <= bin < last.
 * @returns {uPlot} `showKept` and `showRange` change what it shows.
 */
export function bars(node, width, { edges, counts, mark }, choose) {
  const bins = counts.length;
  const paths = uPlot.paths.bars({ size: [1, 60], align: 1, gap: 1 });
  const series = (colour) => ({ fill: (chart) => token(colour(chart)), width: 0, paths, points: { show: false } });
  const chart = new uPlot(
    {
      width,
      height: 118,
      padding: [6, 2, 0, 2],
      legend: { show: false },
      cursor: { x: false, y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      scales: { x: { time: false, range: [0, bins] }, y: { range: (_, __, most) => [0, Math.max(1, most)] } },
      series: [{}, series(({ data }) => (isKept(data) ? "--faint" : "--accent-bar")), series(() => "--accent-bar")],
      axes: [edgeAxis(edges, width), { show: false }],
      hooks: {
        setSelect: [() => chosenBins(chart, bins, choose)],
        draw: [(drawn) => line(drawn, place(mark, edges))],
      },
    },
    [[...counts.keys()], counts, counts.map(() => null)],
    node,
  );
  chart.over.addEventListener("click", () => clicked(chart, bins, choose));
  return chart;
}

/** Show how many of the bars' rows the filters leave: counts by bin, or null if they leave all. */
export function showKept(chart, kept) {
  const [bins, counts] = chart.data;
  chart.setData([bins, counts, kept ?? counts.map(() => null)]);
}

function isKept([, , kept]) {
  return kept.some((each) => each !== null);
}

/**
 * A line over time with the area below it.
 *
 * @param {HTMLElement} node
 * @param {number} width [px]
 * @param {{x: number[], y: number[], shown: (seconds: number) => string}} curve
 */
export function curve(node, width, { x, y, shown }) {
  const axis = {
    stroke: token("--muted"),
    grid: { stroke: token("--line"), width: 1 },
    ticks: { show: false },
    font: FONT,
  };
  return new uPlot(
    {
      width,
      height: 180,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(1e-9, most * 1.08)] } },
      series: [
        {},
        { stroke: token("--accent"), fill: token("--accent-wash"), width: 1.5, points: { show: x.length < 3 } },
      ],
      axes: [
        { ...axis, grid: { show: false }, size: 26, values: (_, splits) => splits.map(shown) },
        { ...axis, size: 44, values: (_, splits) => splits.map((each) => tick(each)) },
      ],
    },
    [x, y],
    node,
  );
}

/** A node for a plot, with a sentence for those who do not see it. */
export function plotNode(label) {
  return el("div", { class: "plot", role: "img", "aria-label": label });
}

function edgeAxis(edges, width) {
  const at = shownValues(edges, width > 320 ? 6 : 4);
  return {
    stroke: token("--muted"),
    font: FONT,
    grid: { show: false },
    ticks: { stroke: token("--line"), width: 1, size: 4 },
    size: 26,
    splits: () => at.map((each) => place(each, edges)),
    values: () => at.map(tick),
  };
}

/** Round values where the bins are of one width, else edges. */
function shownValues(edges, most) {
  const last = edges.length - 1;
  const [narrowest, widest] = [edges[1] - edges[0], edges[last] - edges[last - 1]].sort((one, other) => one - other);
  if (widest < 1.01 * narrowest)
    return ticks(edges[0], edges[last], most).filter((each) => !isNearAnEnd(place(each, edges) / last));
  return Array.from({ length: most }, (_, at) => edges[Math.round(((at + 0.5) * last) / most)]);
}

function chosenBins(chart, bins, choose) {
  if (chart.select.width < 3) return;
  const first = Math.floor(chart.posToVal(chart.select.left, "x") + 0.01);
  const last = Math.ceil(chart.posToVal(chart.select.left + chart.select.width, "x") - 0.01);
  choose(Math.max(0, first), Math.min(bins, last));
}

function clicked(chart, bins, choose) {
  const bin = Math.floor(chart.posToVal(chart.cursor.left, "x"));
  if (bin >= 0 && bin < bins) choose(bin, bin + 1);
}

/** Show a chosen range over bars. */
export function showRange(chart, edges, range) {
  const ends = range ? range.map((each) => chart.valToPos(place(each, edges), "x")) : [0, 0];
  const height = chart.over.clientHeight || chart.bbox.height / devicePixelRatio;
  chart.setSelect({ left: ends[0], width: ends[1] - ends[0], top: 0, height }, false);
}

function line(chart, at) {
  const { ctx, bbox } = chart;
  const x = Math.round(chart.valToPos(at, "x", true));
  ctx.save();
  ctx.strokeStyle = token("--ink");
  ctx.setLineDash([3, 3]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}

/** Whether a number would be cut there. */
function isNearAnEnd(share) {
  return share < 0.04 || share > 0.95;
}

/** Where a value lies, in bins from the left; outside of the edges it is at the end. */
function place(each, edges) {
  const bins = edges.length - 1;
  if (each <= edges[0]) return 0;
  if (each >= edges[bins]) return bins;
  const bin = edges.findLastIndex((edge) => edge <= each);
  return bin + (each - edges[bin]) / (edges[bin + 1] - edges[bin]);
}
