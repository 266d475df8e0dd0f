/** One utterance of the table in a window over the page, with its neighbours in the table's order. */

import { el, fill } from "../dom.js";
import { count } from "../format.js";
import { player } from "../player.js";

/**
 * Open the window.
 *
 * @param {number} size the number of utterances.
 * @param {number} place which of them.
 * @param {(place: number) => Node} view draws an utterance.
 */
export function dialog(size, place, view) {
  let now = place;
  const content = el("div", { tabindex: -1, autofocus: true });
  const where = el("span", { class: "note" });
  const button = (text, label, onclick) =>
    el("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick }, text);
  const show = (next) => {
    if (next < 0 || next >= size) return;
    now = next;
    fill(where, `${count(now + 1)} of ${count(size)}`);
    fill(content, view(now));
  };
  const bar = el(
    "div",
    { class: "dialog-bar" },
    button("‹", "Previous utterance (k)", () => show(now - 1)),
    button("›", "Next utterance (j)", () => show(now + 1)),
    where,
    button("✕", "Close", () => node.close()),
  );
  const node = el("dialog", { class: "utterance", "aria-label": "Utterance" }, bar, content);
  node.addEventListener("keydown", (event) => {
    if (event.key === "j" || event.key === "k") show(now + (event.key === "j" ? 1 : -1));
    else if (event.key === " " && !event.target.closest("button, summary"))
      content.querySelector("button.play")?.click();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  node.addEventListener("click", (event) => {
    if (event.target === node) node.close();
  });
  node.addEventListener("close", () => {
    player.pause();
    node.remove();
  });
  document.body.append(node);
  show(place);
  node.showModal();
}
