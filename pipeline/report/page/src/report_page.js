/** The page of one output. */

import { figure } from "./format.js";
import { framed } from "./frame.js";
import { Model } from "./model.js";
import { clipView } from "./parts/clip.js";
import { Explorer } from "./parts/explore.js";
import { job, snippets } from "./parts/job.js";
import { listen } from "./parts/listen.js";
import { overview } from "./parts/overview.js";
import { changes, failures, metadata, superseded, texts } from "./parts/records.js";
import { runs } from "./parts/run.js";
import { player } from "./player.js";

const COLUMNS = {
  wide: ["speaker", "language", "duration", "rms_dbfs", "peak_dbfs", "mel_distance"],
  narrow: ["duration", "mel_distance"],
};

/**
 * The page of an output.
 *
 * @param {object} report PageData of melmill.
 * @returns {HTMLElement[]}
 */
export function reportPage(report) {
  const model = new Model(report);
  const explorer = new Explorer(model, (utterance) => clipView(model, utterance), COLUMNS);
  const sections = [
    {
      id: "listen",
      title: "Listen",
      note: "The utterances that deserve a look first. Click a picture to hear it from there.",
      content: listen(report, ways(model)),
    },
    {
      id: "utterances",
      title: "Utterances",
      note: "Drag over bars or click a value to narrow the table; click a row to look at it.",
      content: explorer.node,
    },
    { id: "failures", title: "Failures", content: failures(report.failures) },
    { id: "texts", title: "Texts", content: texts(report.texts, (text) => explorer.contain(text)) },
    { id: "metadata", title: "Metadata", content: metadata(report.metadata) },
    { id: "run", title: "Run", content: runs(report.runs) },
    {
      id: "changes",
      title: "Changes",
      content: [changes(report.changes, report.summary), superseded(report.superseded)],
    },
    { id: "load", title: "Load it", content: snippets(report.snippets) },
    { id: "job", title: "Job", content: job(report.job) },
  ];
  return framed(
    `${report.output.name} – melmill report`,
    overview(report, (filter) => explorer.show(filter)),
    sections,
  );
}

/** The figure that a list is about. */
const FIGURE_OF = { loud: "rms_dbfs", quiet: "rms_dbfs", level: "rms_dbfs", clipped: "clipped", rate: "duration" };

function ways(model) {
  const value = ({ id }, { row, audio }) => {
    if (id === "silence") return figure(audio.silence?.[2], "s");
    const field = FIGURE_OF[id] ?? "mel_distance";
    return model.shown(field, row[field]);
  };
  const play = (clip) => {
    const source = model.source(model.ofClip(clip));
    if (source) player.toggle(source);
  };
  return { value, play, view: (clip) => clipView(model, model.ofClip(clip)), outline: ({ audio }) => audio.peaks };
}
