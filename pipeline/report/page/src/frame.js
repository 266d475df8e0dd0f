/** What every page has: its title, the bar with the way to each section, and the sections. */

import { el } from "./dom.js";
import { themeButton } from "./theme.js";

/**
 * A page of sections.
 *
 * @param {string} title of the window.
 * @param {HTMLElement} first the first screen.
 * @param {{id: string, title: string, note?: string, content: Node|Node[]}[]} sections
 * @returns {HTMLElement[]}
 */
export function framed(title, first, sections) {
  document.title = title;
  const link = ({ id, title: text }) => el("a", { href: `#${id}` }, text);
  const bar = el(
    "nav",
    { class: "top", "aria-label": "Sections" },
    el("a", { href: "#overview", class: "brand" }, "melmill"),
    el("div", { class: "links" }, sections.map(link)),
    themeButton(),
  );
  const section = ({ id, title: text, note, content }) =>
    el(
      "section",
      { id, "aria-labelledby": `${id}-title` },
      el("h2", { id: `${id}-title` }, text),
      note ? el("p", { class: "lead" }, note) : null,
      content,
    );
  const skip = el("a", { href: "#overview", class: "skip" }, "Skip to the overview");
  return [skip, bar, el("main", { tabindex: -1 }, first, sections.map(section))];
}
