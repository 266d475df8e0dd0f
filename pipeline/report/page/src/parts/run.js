/** How the runs went: throughput, time by stage, a lane for each worker, and retries. */

import { el, fill, redrawn, sized, token } from "../dom.js";
import { count, figure, moment, percent, plural, span, tick } from "../format.js";
import { curve, plotNode } from "../plots.js";

const LANE = 18;
const NOT_RECORDED = "An older melmill recorded nothing of this.";

/**
 * The runs that made the output, the last one shown.
 *
 * @param {object[]} runs
 * @returns {HTMLElement}
 */
export function runs(all) {
  if (!all.length) return el("p", { class: "note" }, "No run is recorded.");
  const shown = el("div", {});
  const pick = el(
    "select",
    { "aria-label": "Run", onchange: () => fill(shown, runOf(all[pick.value])) },
    all.map((run, at) => el("option", { value: at }, runName(run))),
  );
  pick.value = Math.max(
    0,
    all.findIndex((run) => run.workers?.length),
  );
  fill(shown, runOf(all[pick.value]));
  return el("div", {}, all.length > 1 ? el("p", {}, el("label", {}, "Run ", pick)) : null, shown);
}

function runName({ generation, started, shards, state }) {
  const how = state && state !== "finished" ? `, ${state}` : "";
  return `${generation}${started ? ` · ${moment(started)}` : ""} · ${plural(shards, "shard")}${how}`;
}

function runOf(run) {
  const part = (title, ...content) => el("section", { class: "panel" }, el("h3", {}, title), ...content);
  return el(
    "div",
    { class: "run" },
    el("p", {}, sentence(run)),
    el(
      "div",
      { class: "pair" },
      part("Throughput", throughput(run.throughput)),
      part("Workers' time by stage", stages(run.stages)),
    ),
    part(run.workers_total ? plural(run.workers_total, "worker") : "Workers", lanes(run)),
    part("Retries", retries(run)),
  );
}

function sentence({ run_id: id, utterances, seconds, elapsed, failed, copied, shards, state }) {
  const parts = [
    `${id ? `Run ${id}` : "This run"} made ${plural(utterances, "utterance")}, ${span(seconds)} of audio, in ${plural(shards, "shard")}`,
  ];
  if (elapsed) parts.push(` and ${span(elapsed)}: ${figure(seconds / elapsed)} times real time`);
  parts.push(".");
  if (copied) parts.push(` The audio of ${plural(copied, "shard")} was copied, since only texts had changed.`);
  if (failed) parts.push(` It quarantined ${plural(failed, "utterance")}.`);
  if (state && state !== "finished") parts.push(` It was ${state === "failed" ? "ended by an error" : state}.`);
  return parts.join("");
}

function throughput(told) {
  if (!told?.audio_seconds.length) return el("p", { class: "note" }, NOT_RECORDED);
  const { bin_seconds: width, audio_seconds: made } = told;
  const rates = made.map((each) => each / width);
  const node = plotNode(
    `Seconds of audio made in each second, over ${span(width * made.length)}; at most ${figure(Math.max(...rates))}`,
  );
  let chart = null;
  redrawn(node, (size) => {
    chart?.destroy();
    chart = curve(node, size, { x: rates.map((_, at) => (at + 0.5) * width), y: rates, shown: shortSpan });
  });
  return [el("p", { class: "note" }, "seconds of audio per second"), node];
}

function shortSpan(seconds) {
  return seconds < 60 ? `${tick(seconds)} s` : span(seconds);
}

function stages(told) {
  const all = Object.entries(told ?? {}).sort(([, one], [, other]) => other - one);
  const sum = all.reduce((total, [, seconds]) => total + seconds, 0);
  if (!sum) return el("p", { class: "note" }, NOT_RECORDED);
  const row = ([name, seconds]) =>
    el(
      "li",
      {},
      el("span", {
        class: "bar",
        style: { width: `${Math.max(0.3, (100 * seconds) / all[0][1])}%` },
        "aria-hidden": "true",
      }),
      el("span", { class: "name" }, name),
      el("span", { class: "value" }, `${span(seconds)} · ${percent(seconds / sum)}`),
    );
  return el("ul", { class: "bars" }, all.map(row));
}

function lanes({ workers, workers_total: total, elapsed }) {
  if (!workers?.length) return el("p", { class: "note" }, NOT_RECORDED);
  const end = Math.max(elapsed ?? 0, ...workers.flatMap(({ spans }) => spans.map(([, last]) => last)));
  const busy = workers
    .flatMap(({ spans }) => spans.map(([first, last]) => last - first))
    .reduce((sum, each) => sum + each, 0);
  const label = `Workers were busy for ${percent(busy / (end * workers.length))} of ${span(end)}.`;
  const canvas = el("canvas", { role: "img", "aria-label": label });
  const told = el("p", { class: "note" }, label, " Each block is a shard; red ones have failures.");
  redrawn(canvas, () => drawLanes(canvas, workers, end));
  canvas.addEventListener("pointermove", (event) => {
    const hit = spanAt(event, canvas, workers, end);
    canvas.title = hit ? `${hit[2]}: ${span(hit[1] - hit[0])}${hit[3] ? `, ${plural(hit[3], "failure")}` : ""}` : "";
  });
  const left =
    total > workers.length
      ? el("p", { class: "note" }, `The first ${workers.length} of ${count(total)} workers.`)
      : null;
  return [
    told,
    el("div", { class: "lanes" }, canvas),
    el("p", { class: "time-axis" }, el("span", {}, "0"), el("span", {}, span(end))),
    left,
  ];
}

function drawLanes(canvas, workers, end) {
  const width = canvas.parentElement.clientWidth;
  const context = sized(canvas, width, workers.length * LANE);
  workers.forEach(({ spans }, lane) => {
    context.fillStyle = token("--faint");
    context.fillRect(0, lane * LANE + 2, width, LANE - 4);
    for (const [first, last, , failed] of spans) {
      context.fillStyle = token(failed ? "--bad" : "--accent-bar");
      context.fillRect(
        (first / end) * width,
        lane * LANE + 2,
        Math.max(1, ((last - first) / end) * width - 1),
        LANE - 4,
      );
    }
  });
}

function spanAt(event, canvas, workers, end) {
  const lane = workers[Math.floor(event.offsetY / LANE)];
  const time = (event.offsetX / canvas.clientWidth) * end;
  return lane?.spans.find(([first, last]) => first <= time && time <= last);
}

function retries({ retries: all, retries_total: total }) {
  if (all === null) return el("p", { class: "note" }, NOT_RECORDED);
  if (!all.length) return el("p", {}, "No shard was begun again.");
  const row = ({ time_s: time, shard, reason }) =>
    el("tr", {}, el("td", {}, span(time)), el("td", {}, count(shard)), el("td", { dir: "auto" }, reason));
  const more = total > all.length ? el("p", { class: "note" }, `The first ${all.length} of ${count(total)}.`) : null;
  const heads = el(
    "tr",
    {},
    ["After", "Shard", "Why"].map((each) => el("th", { scope: "col" }, each)),
  );
  return [
    el("div", { class: "wide-table" }, el("table", {}, el("thead", {}, heads), el("tbody", {}, all.map(row)))),
    more,
  ];
}
