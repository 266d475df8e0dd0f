"""Makes the report that compares two outputs of the same utterances."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.output.published_manifest import PlainRow, PublishedManifest
from pipeline.planning.versions import installed
from pipeline.report.choosing import Numbers, first_of
from pipeline.report.clip_audio import ClipWriter
from pipeline.report.compared_table import ComparedTable
from pipeline.report.failures_shown import failures_shown
from pipeline.report.folder import ReportFolder
from pipeline.report.input_mels import InputMels
from pipeline.report.manifest_scan import ScannedManifest, scan_manifest
from pipeline.report.matched_rows import MatchedUtterances, compared_figure, most_changed
from pipeline.report.page_data.comparison import (
    ComparedExample,
    ComparedFigure,
    ComparedOutput,
    ComparisonData,
    KeysOfOne,
)
from pipeline.report.page_data.page import FORMAT
from pipeline.report.page_data.rows import ClipList, TableOfRows
from pipeline.report.published_output import PublishedOutput
from pipeline.report.report_options import USUAL, ReportOptions, WrittenReport
from pipeline.report.row_files import RowFiles, subset
from pipeline.report.row_table import rounded
from pipeline.report.shown_rows import shown_row
from pipeline.report.summaries import output_shown, summary
from pipeline.storage import NO_OPTIONS

_KEYS_SHOWN = 20
_AUDIBLE_DB = 1.0


def write_comparison(
    a: str, b: str, folder: Path, options: Mapping[str, Any] = NO_OPTIONS, wanted: ReportOptions = USUAL
) -> WrittenReport:
    """Write the report that compares two outputs of the same utterances, which are matched by their keys.

    Args:
        a, b: paths or URLs of the outputs.
        folder: the folder to write, which need not be there. A report in it is replaced.
        options: options for the client of an object store, if one or both lie there; may name environment variables.
        wanted: what the report holds.

    Raises:
        ConfigError: as from `write_report`, or if the outputs have no utterance in common.
        OwnedError, StorageError: as from `write_report`.
    """
    with contextlib.ExitStack() as stack:
        one, other = (stack.enter_context(_Side.opened(url, options if "://" in url else NO_OPTIONS)) for url in (a, b))
        target = stack.enter_context(ReportFolder(folder, [one.output.url, other.output.url]))
        matched = MatchedUtterances.of(one.scan, other.scan)
        if not len(matched):
            raise ConfigError(
                f"{one.output.url} and {other.output.url} have no utterance in common: one begins with the key "
                f"{one.first_key()!r}, the other with {other.first_key()!r}. Compare outputs of the same corpus"
            )
        page = _Comparison(one, other, matched, target, wanted).page()
        of = [each.output for each in (page.a, page.b)]
        outputs = [{"name": o.name, "run_id": o.run_id, "manifest_sha256": o.manifest_sha256} for o in of]
        target.finish(page, {"kind": page.kind, "made": page.made, "melmill": page.melmill, "outputs": outputs})
    return WrittenReport(target.target, _sentence(page), None, page.matched, len(page.clips))


@dataclass(frozen=True)
class _Side:
    """One of the two outputs, with its manifest opened and scanned."""

    output: PublishedOutput
    manifest: PublishedManifest
    scan: ScannedManifest

    @classmethod
    @contextlib.contextmanager
    def opened(cls, url: str, options: Mapping[str, Any]) -> Iterator[_Side]:
        output = PublishedOutput.open(url, options)
        with output.manifest() as manifest:
            yield cls(output, manifest, scan_manifest(manifest))

    def first_key(self) -> str:
        return next((str(row["key"]) for _, row in self.manifest.plain_rows(np.zeros(1, np.int64))), "")

    def shown(self) -> ComparedOutput:
        failed = sum(group.count for group in failures_shown(self.output))
        versions = self.output.described.get("versions")
        return ComparedOutput(
            output_shown(self.output, self.scan),
            summary(self.output, self.scan, failed),
            versions if isinstance(versions, dict) else {},
        )

    def keys_beside(self, matched: Numbers) -> KeysOfOne:
        """The utterances that the other output has not."""
        alone = np.setdiff1d(np.arange(len(self.scan)), matched)
        return KeysOfOne(len(alone), tuple(row["key"] for _, row in self.manifest.plain_rows(alone[:_KEYS_SHOWN])))


@dataclass(frozen=True)
class _Comparison:
    one: _Side
    other: _Side
    matched: MatchedUtterances
    folder: ReportFolder
    wanted: ReportOptions

    def page(self) -> ComparisonData:
        matched, wanted = self.matched, self.wanted
        chosen = tuple(most_changed(matched, wanted.clips, wanted.seed))
        numbers = list(dict.fromkeys(number for each in chosen for number in each.rows))
        clips = {number: clip for clip, number in enumerate(numbers)}
        table, rows = self._table(clips)
        a, b = self.one.shown(), self.other.shown()
        fields = tuple(compared_figure(figure, *matched.values(figure)) for figure in matched.figures)
        return ComparisonData(
            format=FORMAT,
            kind="compare",
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            melmill=installed()["melmill"],
            a=a,
            b=b,
            matched=len(matched),
            same=int(matched.same.sum()),
            texts_changed=matched.texts_changed,
            only_in_a=self.one.keys_beside(matched.a_rows),
            only_in_b=self.other.keys_beside(matched.b_rows),
            notes=tuple(_notes(a, b, matched, fields)),
            fields=fields,
            rows=table,
            lists=tuple(
                ClipList(each.id, each.label, each.note, tuple(clips[number] for number in each.rows))
                for each in chosen
            ),
            clips=self._examples(numbers, rows),
        )

    def _table(self, clips: Mapping[int, int]) -> tuple[TableOfRows, Mapping[int, PlainRow]]:
        """The table, those that changed most first; and the rows in A of the utterances that have a clip."""
        matched, most = self.matched, self.wanted.most_rows
        by_change = np.argsort(-matched.change(), kind="stable")
        drawn = np.random.default_rng(self.wanted.seed).permutation(len(matched))
        chosen = first_of([np.array(list(clips), np.int64), by_change[: most // 2], drawn], most)
        at = {int(matched.a_rows[number]): clip for number, clip in clips.items()}
        more = "The page begins with {included:,} rows: those that changed most, and others at random."
        files = RowFiles(ComparedTable(matched, at), np.sort(matched.a_rows[chosen]), at, len(matched), more)
        table = files.write(self.one.manifest.plain_rows, self.folder, self.wanted.rows == "all")
        rank = np.empty(len(self.one.scan), np.int64)
        rank[matched.a_rows[by_change]] = np.arange(len(matched))
        order = np.argsort(rank[np.array(table.columns["row"], np.int64)], kind="stable")
        columns = subset(table.columns, order.tolist())
        return dataclasses.replace(table, columns=columns), files.examples

    def _examples(self, numbers: list[int], rows: Mapping[int, PlainRow]) -> tuple[ComparedExample, ...]:
        matched = self.matched
        wanted = np.sort(matched.b_rows[np.array(numbers, np.int64)])
        others = dict(self.other.manifest.plain_rows(wanted))
        keys = [row["key"] for row in rows.values()]
        writers = [
            ClipWriter.of(side.output, InputMels(side.output, keys, self.wanted.store), self.folder)
            for side in (self.one, self.other)
        ]
        swapped = np.random.default_rng(self.wanted.seed + 1).integers(0, 2, len(numbers)).tolist()
        found = []
        for clip, (number, swap) in enumerate(zip(numbers, swapped, strict=True)):
            pair = rows[int(matched.a_rows[number])], others[int(matched.b_rows[number])]
            names = (f"clips/{clip:04d}-{2 if swap else 1}", f"clips/{clip:04d}-{1 if swap else 2}")
            a, b = (writer.write(row, name) for writer, row, name in zip(writers, pair, names, strict=True))
            found.append(ComparedExample(self._row(number, pair[0]), a, b, bool(matched.same[number])))
        return tuple(found)

    def _row(self, number: int, row: PlainRow) -> dict[str, Any]:
        texts = shown_row({name: row[name] for name in ("key", "text", "speaker", "language")})
        for figure in self.matched.figures:
            a, b = self.matched.values(figure)
            texts |= {f"a_{figure.field}": rounded(float(a[number])), f"b_{figure.field}": rounded(float(b[number]))}
        return texts


def _notes(
    a: ComparedOutput, b: ComparedOutput, matched: MatchedUtterances, fields: Sequence[ComparedFigure]
) -> Iterator[str]:
    """What makes two outputs hard to compare."""
    one, other = a.output, b.output
    if (same := int(matched.same.sum())) == len(matched):
        yield "All samples are the same in both."
    elif same:
        yield f"{same} of {len(matched)} utterances have the same samples in both."
    if one.sample_rates != other.sample_rates:
        yield f"The sample rates differ: {_rates(one.sample_rates)} in A, {_rates(other.sample_rates)} in B."
    if one.subtype != other.subtype:
        yield f"The sample formats differ: {one.subtype} in A, {other.subtype} in B."
    if one.store != other.store:
        yield f"They were made from different stores: {one.store} and {other.store}."
    louder = next((field.difference_median for field in fields if field.field == "rms_dbfs"), 0.0)
    if abs(louder) > _AUDIBLE_DB:
        words = f"{abs(louder):.1f} dB {'louder' if louder > 0 else 'quieter'}"
        yield f"B is {words} than A, and what is louder is easily taken for better."
    if matched.texts_changed:
        yield f"{matched.texts_changed} utterances have another text in B."


def _rates(rates: tuple[int, ...]) -> str:
    return " and ".join(f"{rate} Hz" for rate in rates)


def _sentence(page: ComparisonData) -> str:
    alone = f"{page.only_in_a.count:,} only in A, {page.only_in_b.count:,} only in B"
    count = f"{page.matched:,} utterances are in both outputs; {alone}"
    for field in page.fields:
        if field.better is not None and field.field == "mel_distance":
            return f"{count}. A is nearer to the mels in {field.a_better:,}, B in {field.b_better:,}."
    return f"{count}."
