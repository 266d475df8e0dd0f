"""Whether an output is good: checks, each with what was found and the way out, and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.output.layout import MANIFEST
from pipeline.output.published_rows import last_part
from pipeline.output.totals import FAR_OFF
from pipeline.report.choosing import SILENT_DBFS
from pipeline.report.figures import Values
from pipeline.report.manifest_scan import ScannedManifest
from pipeline.report.page_data.page import Level, OverallVerdict, QualityCheck, RowFilter
from pipeline.report.published_output import PublishedOutput
from pipeline.wording import counted

_SHORT = 0.1
_TIMES_THE_MEDIAN = 2.5
"""A text that is spoken so many times faster or slower than the median is odd."""
_ORDER = {"bad": 0, "look": 1, "unknown": 2, "good": 3}


@dataclass(frozen=True)
class Checked:
    """What checks look at.

    Args:
        output: the output.
        scan: its manifest.
        failed: number of rows of failures.jsonl.
        notes: what job.json says about mixed types of the metadata.
    """

    output: PublishedOutput
    scan: ScannedManifest
    failed: int
    notes: Sequence[str]

    def limit(self, name: str, otherwise: float) -> float:
        """A limit of the section `quality` of the job, or that of a new job if job.json is lost."""
        value = self.output.section("quality").get(name, otherwise)
        return float(value) if isinstance(value, int | float) else otherwise


def quality_checks(checked: Checked) -> tuple[QualityCheck, ...]:
    """All checks, the worst first."""
    found = [
        *_publication(checked),
        *_failures(checked),
        *_mel_distance(checked),
        *_clipping(checked),
        *_levels(checked),
        *_texts(checked),
        *_metadata(checked),
    ]
    return tuple(sorted(found, key=lambda check: _ORDER[check.level]))


def verdict(checks: Sequence[QualityCheck], made: int, failed: int) -> OverallVerdict:
    """The verdict: as bad as the worst of the checks, whose findings it names.

    Args:
        checks: the checks, the worst first.
        made: number of utterances that were made.
        failed: number of utterances that were quarantined.
    """
    level: Level = next((each for each in ("bad", "look") if any(check.level == each for check in checks)), "good")
    found = [check.finding for check in checks if check.level == level]
    listed = " and ".join([", ".join(found[:-1]), found[-1]]) if len(found) > 1 else "".join(found)
    count = f"{made:,} of {counted(made + failed, 'utterance')} {'was' if made == 1 else 'were'} made"
    if level == "good":
        return OverallVerdict(level, f"{count}, and no check found anything wrong.")
    return OverallVerdict(level, f"{count}; {'have a look at' if level == 'look' else 'something is wrong:'} {listed}.")


def _publication(checked: Checked) -> Iterator[QualityCheck]:
    output, publication = checked.output, checked.output.publication
    published = {each.name: each.sha256 for each in publication.files} if publication is not None else {}
    level: Level = "bad"
    if publication is None:
        level, finding = "look", "an unknown publication"
        text = "It is not known what was published: published.json is lost or damaged."
        what = "Run the job again: it publishes again."
    elif published.get(MANIFEST) != checked.scan.sha256:
        finding = "a manifest that was not published"
        text = f"{MANIFEST} is not the one that was published: it was changed, or a run was stopped."
        what = f"Run: melmill verify {output.public_url}"
    elif not publication.complete:
        finding = "shards that could not be made"
        text = "Shards could not be made, since their workers were lost each time."
        what = "Run the job again: it tries them again."
    elif publication.due:
        finding = "damage that verify found"
        text = f"It must be published again: {publication.due}."
        what = "Run the job again."
    else:
        level, finding, what = "good", "", ""
        text = "All shards of the plan are there, and published."
    yield QualityCheck("publication", level, "Publication", text, finding, what)


def _failures(checked: Checked) -> Iterator[QualityCheck]:
    failed, total = checked.failed, len(checked.scan) + checked.failed
    if not failed:
        yield QualityCheck("failures", "good", "Failures", "No utterance was quarantined.")
        return
    limit, rate = checked.limit("max_failure_rate", 0.01), failed / total
    text = f"{failed:,} of {counted(total, 'utterance')} {'was' if failed == 1 else 'were'} quarantined ({rate:.1%})."
    level: Level = "bad" if rate > limit else "look"
    if level == "bad":
        text += f" That is more than quality.max_failure_rate, {limit:.1%}."
    what = f"See the reasons below. When the cause is mended: melmill retry {checked.output.public_url}"
    yield QualityCheck("failures", level, "Failures", text, counted(failed, "failure"), what)


def _mel_distance(checked: Checked) -> Iterator[QualityCheck]:
    id_, title = "mel_distance", "Distance to the mels"
    relative = checked.scan.figures["mel_distance_relative"]
    measured = relative[~np.isnan(relative)]
    if not len(measured):
        text = "The distance of the audio to its mels was not measured."
        yield QualityCheck(id_, "unknown", title, text, what_to_do="Run with quality.mel_distance: true.")
        return
    median = float(np.median(measured))
    limit = max(FAR_OFF, 3 * median)
    far = int((measured > limit).sum())
    text = f"The median of the relative distance is {median:.2f}."
    if median > FAR_OFF:
        name = last_part(str(checked.output.section("vocoder").get("name", "NAME")))
        what = (
            "The weights may be untrained, or the mels may follow another contract than the vocoder's. Listen to it, "
            f"and try: melmill vocoder check {name}"
        )
        yield QualityCheck(id_, "bad", title, text, "audio that does not match its mels", what)
    elif far:
        text = f"{counted(far, 'utterance')} {_are(far)} further than {limit:.2f} from the mel, relative. {text}"
        finding = f"{counted(far, 'utterance')} far from {'its mel' if far == 1 else 'their mels'}"
        chosen = RowFilter("mel_distance_relative", minimum=limit)
        yield QualityCheck(id_, "look", title, text, finding, "Listen to them.", chosen)
    else:
        yield QualityCheck(id_, "good", title, text)


def _clipping(checked: Checked) -> Iterator[QualityCheck]:
    figures, id_, title = checked.scan.figures, "clipping", "Clipping"
    loud = int((figures["over_full_scale"] > 0).sum())
    if clipped := int((figures["clipped"] > 0).sum()):
        samples = float(np.nansum(figures["duration"])) * max(checked.scan.sample_rates, default=1)
        share = float(np.nansum(figures["clipped"])) / samples if samples else 0.0
        level: Level = "bad" if share > checked.limit("max_clipped_rate", 0.5) else "look"
        text = f"{counted(clipped, 'utterance')} {_have(clipped)} clipped samples, {share:.2%} of all samples."
        what = "Listen to them. Codec wav with subtype FLOAT keeps such samples; output.loudness may avoid them."
        chosen = RowFilter("clipped", minimum=1)
        yield QualityCheck(id_, level, title, text, counted(clipped, "clipped utterance"), what, chosen)
    elif loud:
        text = f"{counted(loud, 'utterance')} {_have(loud)} samples over full scale, which FLOAT keeps."
        chosen = RowFilter("over_full_scale", minimum=1)
        finding = f"{counted(loud, 'utterance')} over full scale"
        yield QualityCheck(id_, "look", title, text, finding, "A player may clip them.", chosen)
    else:
        yield QualityCheck(id_, "good", title, "No sample was clipped.")


def _levels(checked: Checked) -> Iterator[QualityCheck]:
    figures, pcm = checked.scan.figures, checked.scan.pcm
    silent = figures["rms_dbfs"] <= SILENT_DBFS
    if count := int(silent.sum()):
        text = f"{counted(count, 'utterance')} {_are(count)} silent: their level is {SILENT_DBFS:g} dBFS or less."
        chosen = RowFilter("rms_dbfs", maximum=SILENT_DBFS)
        finding = counted(count, "silent utterance")
        yield QualityCheck("silence", "look", "Silence", text, finding, "Look at their mels.", chosen)
    else:
        yield QualityCheck("silence", "good", "Silence", "No utterance is silent.")
    if count := int((figures["duration"] < _SHORT).sum()):
        text = f"{counted(count, 'utterance')} {_are(count)} shorter than {_SHORT:g} s."
        finding, chosen = counted(count, "very short utterance"), RowFilter("duration", maximum=_SHORT)
        yield QualityCheck("short", "look", "Short utterances", text, finding, "Training may refuse them.", chosen)
    heard = pcm[~silent]
    if twice := len(heard) - len(np.unique(heard)):
        text = f"{counted(twice, 'utterance')} {_have(twice)} the same samples as another one."
        what = "See whether the corpus holds the same mel twice."
        yield QualityCheck("twice", "look", "Duplicates", text, counted(twice, "duplicate"), what)
    if (count := len(checked.scan.sample_rates)) > 1:
        rates = ", ".join(f"{rate} Hz" for rate in checked.scan.sample_rates)
        text = f"There are several: {rates}."
        yield QualityCheck("sample_rate", "look", "Sample rates", text, counted(count, "sample rate"))


def _texts(checked: Checked) -> Iterator[QualityCheck]:
    rate: Values = checked.scan.figures["characters_per_second"]
    there = ~np.isnan(rate)
    if not there.any():
        return
    if missing := len(rate) - int(there.sum()):
        text = f"{counted(missing, 'utterance')} of {len(rate):,} {_have(missing)} no text."
        what = "Readers that need a text refuse them. Give texts with input.meta."
        chosen = RowFilter("text", values=("",))
        yield QualityCheck("texts", "look", "Texts", text, counted(missing, "missing text"), what, chosen)
    else:
        yield QualityCheck("texts", "good", "Texts", "Every utterance has a text.")
    median = float(np.median(rate[there]))
    yield from _speaking_rate(rate, median, "fast", median * _TIMES_THE_MEDIAN)
    yield from _speaking_rate(rate, median, "slow", median / _TIMES_THE_MEDIAN)


def _speaking_rate(rate: Values, median: float, kind: Literal["fast", "slow"], limit: float) -> Iterator[QualityCheck]:
    fast = kind == "fast"
    if odd := int((rate > limit if fast else rate < limit).sum()):
        words = f"{'more' if fast else 'less'} than {limit:.1f} characters per second; the median is {median:.1f}"
        text = f"{counted(odd, 'utterance')} {_have(odd)} {words}."
        chosen = RowFilter("characters_per_second", minimum=limit if fast else None, maximum=None if fast else limit)
        finding = counted(odd, f"very {kind} utterance")
        what = "See whether text and audio belong together."
        yield QualityCheck(kind, "look", "Speaking rate", text, finding, what, chosen)


def _metadata(checked: Checked) -> Iterator[QualityCheck]:
    if count := len(checked.notes):
        text = f"{counted(count, 'field')} of the metadata became text, since types were mixed."
        what = "See below which. Give one type to each field."
        yield QualityCheck("types", "look", "Types of the metadata", text, counted(count, "mixed type"), what)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
