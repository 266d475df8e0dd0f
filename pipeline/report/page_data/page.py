"""PageData: all that the page of one output is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.report.page_data.figures import FieldShares, FigureHistogram, MetadataShown, TextStatistics
from pipeline.report.page_data.rows import ClipList, Example, TableOfRows
from pipeline.report.page_data.runs import ChangesShown, FailureGroup, RunTrace, SupersededShown

FORMAT = 1
"""Of PageData and ComparisonData. It is raised when a page of before could not show them."""

Level = Literal["good", "look", "bad"]


@dataclass(frozen=True)
class OutputShown:
    """Which output this is, and what it was made with.

    Args:
        name: last part of its URL.
        url: its URL if it lies in an object store; its name if it is a folder, since paths are private.
        run_id: run that published it.
        generation: number of that run on this output.
        started: time when that run began; None if job.json is lost.
        finished: time when it began to publish; None as before.
        complete: whether every shard could be made.
        manifest_sha256: digest of the manifest that the page is of, as hexadecimal.
        store: name of the store.
        vocoder: name of the vocoder.
        vocoder_digest: its digest, as hexadecimal.
        container: tar or files.
        codec: flac or wav.
        subtype: PCM_16, PCM_24 or FLOAT.
        sample_rates: sample rates of the audio, the most frequent first [Hz].
    """

    name: str
    url: str
    run_id: str
    generation: int
    started: str | None
    finished: str | None
    complete: bool
    manifest_sha256: str
    store: str | None
    vocoder: str | None
    vocoder_digest: str | None
    container: str | None
    codec: str | None
    subtype: str | None
    sample_rates: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """What was made, in figures.

    Args:
        utterances: number of rows of the manifest.
        failed: number of rows of failures.jsonl.
        seconds: duration of the audio [s].
        bytes: size of the encoded audio [bytes].
        shards: number of shards.
        speakers: number of speakers; None if no utterance names one.
        languages: number of languages; None as before.
        mel_distance_median: median of `mel_distance`; None if it was not measured.
        mel_distance_relative_median: median of `mel_distance_relative`; None as before.
        mel_distance_worst: largest `mel_distance`; None as before.
        mel_distance_worst_key: key of the utterance that has it; None as before.
        level_median: median of `rms_dbfs` [dB re full scale]; None without rows.
        clipped_utterances: number of utterances with clipped samples.
        over_full_scale_utterances: number of utterances with samples over full scale before quantization.
        silent_utterances: number of utterances that nobody can hear.
    """

    utterances: int
    failed: int
    seconds: float
    bytes: int
    shards: int
    speakers: int | None
    languages: int | None
    mel_distance_median: float | None
    mel_distance_relative_median: float | None
    mel_distance_worst: float | None
    mel_distance_worst_key: str | None
    level_median: float | None
    clipped_utterances: int
    over_full_scale_utterances: int
    silent_utterances: int


@dataclass(frozen=True)
class OverallVerdict:
    """Whether it is good: as bad as the worst of the checks.

    Args:
        level: good, look or bad.
        text: one sentence.
    """

    level: Level
    text: str


@dataclass(frozen=True)
class RowFilter:
    """Which rows of the table a check is about. A row fits if its value lies in all that is not None.

    Args:
        column: name of the column.
        minimum: smallest value.
        maximum: largest value.
        values: values that fit.
    """

    column: str
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class QualityCheck:
    """One reason of the verdict.

    Args:
        id: name of the check, for links.
        level: good, look or bad; "unknown" if what it needs was not measured.
        title: what is checked.
        text: what was found, as a sentence.
        finding: the same in a few words, such as `3 failures`; "" if nothing was found.
        what_to_do: the way out; "" if nothing needs to be done.
        filter: the rows that it is about; None if they cannot be told by one column.
    """

    id: str
    level: Level | Literal["unknown"]
    title: str
    text: str
    finding: str = ""
    what_to_do: str = ""
    filter: RowFilter | None = None


@dataclass(frozen=True)
class JobShown:
    """The job without what is private: paths are their last parts, and of the cluster only kind and sizes are there.

    Args:
        text: the job, as YAML.
        mel: mel contract of the store.
        vocoder_mel: mel contract of the vocoder.
        versions: name -> version of what it was made with.
        digests: what -> digest, as hexadecimal.
        processors: kinds of processors that made shards.
    """

    text: str
    mel: Mapping[str, Any] | None
    vocoder_mel: Mapping[str, Any] | None
    versions: Mapping[str, str]
    digests: Mapping[str, str]
    processors: tuple[str, ...]


@dataclass(frozen=True)
class Snippet:
    """Code that loads this very output, run in the folder that it lies in.

    Args:
        title: what it uses.
        needs: packages to install, as `pip install` takes them; "" for melmill alone.
        code: the code, in Python.
    """

    title: str
    needs: str
    code: str


@dataclass(frozen=True)
class ServedAudio:
    """How to play any utterance, where `melmill serve` serves the page.

    Args:
        audio: begin of the URL of an utterance's audio, relative to the page; the number of its row follows.
    """

    audio: str


@dataclass(frozen=True)
class PageData:
    """All of the page of one output. The order is that in which it is shown.

    Args:
        format: FORMAT.
        kind: "report".
        made: time when the report was made.
        melmill: version of the melmill that made it.
        output: which output this is.
        summary: what was made.
        verdict: whether it is good.
        checks: why, the worst first.
        groups: hours by speaker, by language, and by fields of the metadata with few values.
        histograms: figures over all rows.
        texts: what the texts consist of; None if there are none.
        lists: utterances that deserve a look.
        clips: the utterances of `lists`.
        rows: the table of utterances.
        runs: the runs that made the shards of this publication, the last first, at most 20.
        failures: what was quarantined, by reason, the most frequent first.
        metadata: the metadata, by field.
        changes: what changed with the last publication.
        superseded: shards that nothing needs.
        job: the job, versions and digests.
        snippets: code that loads the output.
        serve: how to play any utterance; None in a folder, where only clips can be played.
    """

    format: int
    kind: Literal["report"]
    made: str
    melmill: str
    output: OutputShown
    summary: Summary
    verdict: OverallVerdict
    checks: tuple[QualityCheck, ...]
    groups: tuple[FieldShares, ...]
    histograms: tuple[FigureHistogram, ...]
    texts: TextStatistics | None
    lists: tuple[ClipList, ...]
    clips: tuple[Example, ...]
    rows: TableOfRows
    runs: tuple[RunTrace, ...]
    failures: tuple[FailureGroup, ...]
    metadata: MetadataShown
    changes: ChangesShown
    superseded: SupersededShown
    job: JobShown
    snippets: tuple[Snippet, ...]
    serve: ServedAudio | None
