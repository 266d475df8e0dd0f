/** How to load the output, and what it was made with. */

import { el, fill } from "../dom.js";
import { plainTable } from "./records.js";

/** Code that loads this output, with a button that copies it. */
export function snippets(all) {
  return el("div", { class: "snippets" }, all.map(snippet));
}

function snippet({ title, needs, code }) {
  return el(
    "section",
    { class: "panel" },
    el("h3", {}, title, needs ? el("small", {}, ` pip install ${needs}`) : null),
    codeBlock(code, title),
  );
}

/** Text to copy. */
function codeBlock(code, title) {
  const text = el("code", {}, code);
  const copy = el("button", { type: "button", class: "quiet copy", "aria-label": `Copy: ${title}` }, "Copy");
  copy.addEventListener("click", async () => {
    fill(copy, (await copied(text)) ? "Copied" : "Press Ctrl+C");
    setTimeout(() => fill(copy, "Copy"), 1500);
  });
  return el("div", { class: "code" }, copy, el("pre", { tabindex: 0, "aria-label": title }, text));
}

/** Copy a node's text. Where a page may not, it is selected, so that a person can. */
async function copied(node) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    return true;
  } catch {
    const selection = window.getSelection();
    selection.selectAllChildren(node);
    return document.execCommand("copy");
  }
}

/** The job, the mel contracts, versions and digests. */
export function job({ text, mel, vocoder_mel: vocoderMel, versions, digests, processors }) {
  const pairs = (values) => Object.entries(values).map(([name, value]) => [name, el("code", {}, String(value))]);
  const fold = (title, content, open = false) =>
    el("details", { class: "panel", open }, el("summary", {}, title), content);
  return el(
    "div",
    { class: "folds" },
    fold("Job", codeBlock(text, "Job")),
    mel ? fold("Mel contract", contracts(mel, vocoderMel)) : null,
    fold(
      "Versions",
      plainTable(["What", "Version"], [...pairs(versions), ...processors.map((each) => ["processor", each])]),
    ),
    fold("Digests", plainTable(["What", "Digest"], pairs(digests))),
  );
}

function contracts(mel, vocoderMel) {
  const shown = (value) =>
    value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
  const fields = [...new Set([...Object.keys(mel), ...Object.keys(vocoderMel ?? {})])];
  return plainTable(
    ["", "Store", "Vocoder"],
    fields.map((field) => [field, shown(mel[field]), shown(vocoderMel?.[field])]),
  );
}
