"""`make bench-quality`: every system on the shipped prompts, on clean mels and on mels as acoustic models predict them.

    python tests/tools/benchmark_quality.py [--folds FOLDER] [--speech FOLDER] [--corpus FOLDER] [--out FOLDER]
        [--each N] [--rows FILE] [--page FOLDER] [--kinds KIND...] [--systems SYSTEM...]

`--folds` holds a lift for each voice, trained without it, as `make lift-folds` leaves them, and voices without one are
left out; without `--folds` the shipped one is judged, which has heard these voices.
`--speech` holds recordings that no lift has heard, for a table of their own; they and synthetic speech are always
judged with the shipped one. `--corpus` holds speech that model B learns from, in a folder for each voice; without it,
it learns from the shipped prompts of the other voices. Coded speech is judged against the coded recording: its mel is
all that a vocoder gets, so no figure says what the codec cost.
`--rows` keeps what was measured, so that the same command goes on where it was ended. `--page` writes a page with the
audio of every system, to listen to. Writes quality.json and quality.md. Needs the extras `quality` and, for model B,
`train`. tests/support/quality_metrics.py says how each figure is taken.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.quality_metrics import measure
from tools.quality import kinds, speech, systems
from tools.quality.judging import Row, Task, judge, kept_rows
from tools.quality.listening import audio_path, write_page
from tools.quality.tables import report

from pipeline.dsp.mel import log_mel


def pinned(core: "multiprocessing.Queue[int]") -> None:
    """One core for each process, so that the judges' own sessions make one thread."""
    os.sched_setaffinity(0, {core.get()})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--corpus", type=Path, help="speech that model B learns from")
    parser.add_argument("--kinds", nargs="+", choices=kinds.KINDS, default=list(kinds.KINDS), metavar="KIND",
                        help=f"all if not given: {', '.join(kinds.KINDS)}")  # fmt: skip
    parser.add_argument("--systems", nargs="+", help="all if not given")
    parser.add_argument("--rows", type=Path, help="JSON lines")
    parser.add_argument("--page", type=Path, help="folder of a page to listen to")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--each", type=int, default=5, help="utterances a voice")
    return parser.parse_args()


def judged_speech(given: argparse.Namespace) -> dict[str, speech.Named]:
    """By voice what is judged."""
    spoken = speech.speech(given.each)
    if given.folds is not None:
        kept = [voice for voice in spoken if systems.fold(given.folds, voice) or voice == speech.SYNTHETIC]
        spoken = {voice: spoken[voice] for voice in kept}
    if given.speech is not None:
        spoken[speech.GIVEN] = speech.given_speech(given.speech)
    return spoken


def nets_of_model_b(spoken: dict[str, speech.Named], corpus: Path | None) -> dict[str, Path]:
    """By voice the weights of the net that has not heard it."""
    from tools.quality import model_b  # loads torch

    heard = model_b.corpus_speech(corpus)
    return {voice: model_b.net_path(voice, spoken, heard) for voice in spoken}


def tasks(
    given: argparse.Namespace, spoken: dict[str, speech.Named], nets: dict[str, Path], rows: list[Row]
) -> list[Task]:
    """For each utterance what neither the rows nor the page has."""
    measured = {(row["voice"], row["utterance"], row["kind"], row["system"]) for row in rows}
    wanted = [
        (kind, system)
        for kind in given.kinds
        for system in systems.measured_systems(kind)
        if given.systems is None or system in given.systems
    ]
    found = []
    for voice, named in spoken.items():
        for name, wave in named:
            to_measure = [each for each in wanted if (voice, name, *each) not in measured]
            to_hear = [
                each for each in wanted
                if given.page is not None
                and (each in to_measure or not (given.page / audio_path(*each, voice, name)).exists())
            ]  # fmt: skip
            found.append(Task(voice, name, wave, given.folds, nets.get(voice), to_measure, to_hear, given.page))
    return found


def judged(work: list[Task], path: Path | None) -> list[Row]:
    """The rows of all tasks, on all cores, kept as they are measured."""
    cores = sorted(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for core in cores:
        queue.put(core)
    # Librosa keeps compiled code; two processes that were the first to write it were seen to leave code that crashes.
    measure(work[0].recording, work[0].recording, log_mel(work[0].recording, speech.SPEC), speech.SPEC)
    rows = []
    with concurrent.futures.ProcessPoolExecutor(len(cores), context, pinned, (queue,)) as pool:
        for done, found in enumerate(pool.map(judge, work), 1):
            rows += found
            if path is not None:
                with path.open("a") as file:
                    file.writelines(f"{json.dumps(row)}\n" for row in found)
            print(f"{done} of {len(work)} utterances", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    given = arguments()
    given.kinds, reasons = kinds.here(given.kinds)
    for reason in reasons:
        print(reason, file=sys.stderr)
    spoken = judged_speech(given)
    nets = nets_of_model_b(spoken, given.corpus) if kinds.MODEL_B in given.kinds else {}
    rows = kept_rows(given.rows, given.folds, nets)
    work = tasks(given, spoken, nets, rows)
    rows += judged(work, given.rows)
    about = {"utterances": len(work), "folds": given.folds is not None, "left_out": reasons, "rows": rows}
    (given.out / "quality.json").write_text(json.dumps(about, indent=1) + "\n")
    (given.out / "quality.md").write_text(report(rows))
    if given.page is not None:
        print(f"listen: {write_page(given.page, rows)}", file=sys.stderr)
    print(report(rows))


if __name__ == "__main__":
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    main()
