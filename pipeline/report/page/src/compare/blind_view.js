/** The blind comparison: which output is heard as 1 and which as 2 is hidden until a person asks for it. */

import { el, fill } from "../dom.js";
import { count, percent, plural } from "../format.js";
import { keep, kept, lasting } from "../keep.js";
import { chosen, exported, heardFirst, newTrial, result, shuffled, withChoice } from "./blind.js";
import { votes } from "./figures.js";
import { pairControls, startPair } from "./pair.js";
import { matchedVolumes } from "./pair_player.js";

const CHOICES = [
  ["1", "1 is better"],
  ["same", "No difference"],
  ["2", "2 is better"],
];

/** A person's blind comparison of the clips of a report. */
export class BlindTrial {
  #report;
  #clips;
  #name;
  #trial;
  #keys;
  #place = 0;
  #matched = true;
  #shown = false;

  /** @param {object} report ComparisonData of melmill. */
  constructor(report) {
    this.#report = report;
    this.#clips = new Map(
      report.clips.filter(({ a, b, same }) => a.file && b.file && !same).map((clip) => [clip.row.key, clip]),
    );
    this.#name = `blind:${report.a.output.manifest_sha256}:${report.b.output.manifest_sha256}`;
    this.#begin(kept(this.#name, null) ?? newTrial());
    this.node = el("div", { class: "blind", tabindex: -1 });
    this.node.addEventListener("melmill-choice", ({ detail }) => this.#choose(detail));
  }

  /** Show the first utterance that has no choice yet, ready for keys. */
  show() {
    const open = this.#keys.findIndex((key) => !this.#trial.choices[key]);
    this.#place = Math.max(0, open);
    this.#draw();
    this.node.focus({ preventScroll: true });
  }

  #begin(trial) {
    this.#trial = trial;
    this.#keys = shuffled(trial, [...this.#clips.keys()]);
    this.#place = 0;
    this.#shown = false;
  }

  #choose(choice) {
    this.#trial = withChoice(this.#trial, this.#keys[this.#place], choice);
    keep(this.#name, this.#trial);
    if (this.#trial.choices[this.#keys[this.#place]] && this.#place < this.#keys.length - 1) this.#place += 1;
    this.#draw();
  }

  #draw() {
    if (!this.#keys.length) {
      fill(this.node, el("p", { class: "note" }, "No clip differs between A and B, so there is nothing to choose."));
      return;
    }
    const row = this.#clips.get(this.#keys[this.#place]).row;
    const said = row.text ? el("blockquote", { dir: "auto" }, row.text) : null;
    fill(
      this.node,
      this.#progress(),
      el("article", { class: "clip" }, said, this.#players(), this.#choices()),
      this.#end(),
    );
  }

  #progress() {
    const done = Object.keys(this.#trial.choices).length;
    const step = (by, text, label) =>
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-label": label,
          disabled: !this.#keys[this.#place + by],
          onclick: () => this.#go(by),
        },
        text,
      );
    return el(
      "div",
      { class: "progress" },
      step(-1, "‹", "Previous utterance"),
      el("span", {}, `Utterance ${this.#place + 1} of ${this.#keys.length}`),
      step(1, "›", "Next utterance"),
      el("progress", { max: this.#keys.length, value: done, "aria-label": "Utterances with a choice" }),
      el("span", { class: "note" }, `${plural(done, "choice")}`),
    );
  }

  #go(by) {
    this.#place += by;
    this.#draw();
  }

  #players() {
    const { row, a, b } = this.#clips.get(this.#keys[this.#place]);
    const swapped = heardFirst(this.#trial, row.key) === "b";
    const files = swapped ? [b.file, a.file] : [a.file, b.file];
    const levels = swapped ? [row.b_rms_dbfs, row.a_rms_dbfs] : [row.a_rms_dbfs, row.b_rms_dbfs];
    const pair = startPair(files, this.#matched ? matchedVolumes(...levels) : [1, 1]);
    const duration = row.duration ?? row.a_duration;
    const position = el("input", {
      type: "range",
      min: 0,
      max: duration,
      step: "any",
      value: 0,
      "aria-label": "Position",
    });
    position.addEventListener("input", () => pair.seek(Number(position.value)));
    pair.addEventListener("moved", () => {
      position.value = pair.position;
    });
    return el("div", {}, pairControls(pair, ["1", "2"], duration), position);
  }

  #choices() {
    const now = this.#trial.choices[this.#keys[this.#place]];
    const button = ([choice, text]) =>
      el(
        "button",
        { type: "button", class: "choice", "aria-pressed": now === choice, onclick: () => this.#choose(choice) },
        text,
        el("kbd", {}, choice === "same" ? "0" : choice),
      );
    return el("div", { class: "choices", role: "group", "aria-label": "Which is better" }, CHOICES.map(button));
  }

  /** Level matching, the result when it is asked for, and the way to export. */
  #end() {
    const matched = el("input", { type: "checkbox" });
    matched.checked = this.#matched;
    matched.addEventListener("change", () => {
      this.#matched = matched.checked;
      this.#draw();
    });
    const button = (text, onclick, disabled = false) => el("button", { type: "button", onclick, disabled }, text);
    const none = !Object.keys(this.#trial.choices).length;
    return el(
      "div",
      { class: "end" },
      el("label", {}, matched, " Play both at the level of the quieter one"),
      el(
        "div",
        { class: "buttons" },
        button(this.#shown ? "Hide the result" : "Show the result", () => this.#toggleResult(), none),
        button("Export as JSON", () => this.#export(), none),
        button("Begin again", () => this.#again(), none),
      ),
      lasting()
        ? el("p", { class: "note" }, "Your choices are kept in this browser.")
        : el(
            "p",
            { class: "way-out" },
            "This browser does not let the page keep anything: export your choices before you close it.",
          ),
      this.#shown ? this.#result() : null,
    );
  }

  #toggleResult() {
    this.#shown = !this.#shown;
    this.#draw();
  }

  #again() {
    if (!window.confirm("Forget all choices, and draw the sides again?")) return;
    this.#begin(newTrial());
    keep(this.#name, this.#trial);
    this.#draw();
  }

  #result() {
    const { a, b, same, p } = result(this.#trial);
    const decided =
      a + b
        ? `${b >= a ? "B" : "A"} was chosen in ${count(Math.max(a, b))} of ${plural(a + b, "utterance")} with a preference`
        : "There is no preference";
    const odds = a + b ? `; chance alone would be as one-sided in ${percent(p)} of such trials.` : ".";
    const list = Object.keys(this.#trial.choices).map((key) =>
      el(
        "li",
        {},
        el("span", { class: "key", dir: "auto" }, key),
        ` ${(chosen(this.#trial, key) ?? "").replace(/^[ab]$/, (side) => side.toUpperCase())}`,
      ),
    );
    return el(
      "div",
      { class: "result", role: "status" },
      el("p", {}, decided + odds),
      votes(a, same, b),
      el("details", {}, el("summary", {}, "Choices"), el("ul", {}, list)),
    );
  }

  #export() {
    const { a, b } = this.#report;
    const side = ({ output }) => ({
      name: output.name,
      run_id: output.run_id,
      manifest_sha256: output.manifest_sha256,
      vocoder: output.vocoder,
    });
    const text = JSON.stringify(exported(this.#trial, { a: side(a), b: side(b) }, this.#matched), null, 2);
    const url = URL.createObjectURL(new Blob([`${text}\n`], { type: "application/json" }));
    el("a", { href: url, download: "blind-comparison.json" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}
