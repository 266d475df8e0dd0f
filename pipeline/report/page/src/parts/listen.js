/** The utterances that are worth hearing first: the worst by each figure, and some at random. */

import { el, fill, redrawn, sized, token } from "../dom.js";
import { middleLeftOut } from "../format.js";
import { drawPeaks, readPeaks } from "../peaks.js";

/**
 * @typedef {Object} Ways
 * @property {(clip: object) => Node} view draws a clip.
 * @property {(list: object, clip: object) => string} value what a list says of a clip.
 * @property {(clip: object) => void} play plays a clip, or pauses it.
 * @property {(clip: object) => string} outline the clip's waveform, as base64.
 */

/**
 * Lists of clips, each with the chosen one beside it.
 *
 * @param {{lists: object[], clips: object[]}} report
 * @param {Ways} ways
 * @returns {HTMLElement}
 */
export function listen({ lists, clips }, ways) {
  const shown = lists.filter((list) => list.clips.length);
  if (!shown.length) return el("p", { class: "note" }, "This report has no clips.");
  const tabs = el("div", { class: "tabs", role: "tablist", "aria-label": "Which utterances" });
  const panel = el("div", { class: "listen", role: "tabpanel", id: "clips-panel" });
  const choose = (list, focus = false) => {
    for (const tab of tabs.children) {
      const chosen = tab.dataset.list === list.id;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen && focus) tab.focus();
    }
    panel.setAttribute("aria-labelledby", `tab-${list.id}`);
    fill(
      panel,
      listAndClip(
        list,
        list.clips.map((number) => clips[number]),
        ways,
      ),
    );
  };
  tabs.append(...shown.map((list) => tabOf(list, choose)));
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = shown.findIndex((list) => tabs.querySelector('[aria-selected="true"]').dataset.list === list.id);
    choose(shown[(now + step + shown.length) % shown.length], true);
  });
  choose(shown[0]);
  return el("div", {}, tabs, panel);
}

function tabOf(list, choose) {
  const attributes = {
    type: "button",
    role: "tab",
    id: `tab-${list.id}`,
    "data-list": list.id,
    "aria-controls": "clips-panel",
  };
  return el("button", { ...attributes, onclick: () => choose(list) }, list.label);
}

function listAndClip(list, clips, ways) {
  const chosen = el("div", { class: "chosen" });
  const buttons = clips.map((clip) => itemOf(list, clip, ways, () => choose(clip)));
  const choose = (clip) => {
    for (const [at, button] of buttons.entries()) button.setAttribute("aria-current", clips[at] === clip);
    fill(chosen, ways.view(clip));
  };
  choose(clips[0]);
  const order = el(
    "ol",
    { class: "clips" },
    buttons.map((button) => el("li", {}, button)),
  );
  order.addEventListener("keydown", (event) => walk(event, buttons, clips, ways, choose));
  return [list.note ? el("p", { class: "note wide" }, list.note) : null, order, chosen];
}

/** Arrows choose the neighbour; the space bar plays what is chosen. */
function walk(event, buttons, clips, ways, choose) {
  const now = buttons.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (now < 0 || !(step ? buttons[now + step] : event.key === " ")) return;
  event.preventDefault();
  event.stopPropagation();
  if (step) buttons[now + step].focus();
  if (step || buttons[now].getAttribute("aria-current") !== "true") choose(clips[now + (step ?? 0)]);
  if (!step) ways.play(clips[now]);
}

function itemOf(list, clip, { value, outline }, onclick) {
  const canvas = el("canvas", { class: "outline", "aria-hidden": "true" });
  const peaks = readPeaks(outline(clip));
  redrawn(canvas, () => drawPeaks(sized(canvas, 56, 24), peaks, 56, 24, token("--wave")));
  return el(
    "button",
    { type: "button", title: clip.row.key, onclick },
    el(
      "span",
      {},
      el("span", { class: "key", dir: "auto" }, middleLeftOut(clip.row.key, 23)),
      el("span", { class: "said", dir: "auto" }, clip.row.text),
    ),
    canvas,
    el("span", { class: "value" }, value(list, clip)),
  );
}
