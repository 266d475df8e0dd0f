"""Audio that a manifest lists: rows of NeMo, cuts and recordings of lhotse."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.pack.audio import Clip, audio_blocks
from pipeline.pack.sources import Corpus, Listing, PackItem, SourceError, Sources, file_stamp
from pipeline.stores.metadata_lists import has_line_break, text_fault
from pipeline.stores.text_lists import listed_path, parse_object, read_lines
from pipeline.wording import counted

_LOOK = 100  # number of lines among which one must be a JSON object
MANIFEST_EXTENSIONS = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
ManifestKind = Literal["nemo", "lhotse"]
_AUDIO_FIELDS = ("audio_filepath", "audio", "path")  # names that the field with the path has in NeMo's rows and others'

Row = Mapping[str, Any]
Entry = tuple[str, Clip, dict[str, Any]]  # key, audio with the path that the row names, metadata


def nemo_corpus(manifest: str, spec: MelSpec) -> Corpus:
    """The audio of a NeMo manifest, as `manifest_sources` lists it, made into mels.

    Args:
        manifest: path of the manifest; `.gz` is unpacked.
        spec: mel contract of the mels to be made.

    Raises:
        ConfigError: as `manifest_sources`.
    """
    return Corpus(manifest_sources(manifest, "nemo"), audio_blocks(spec), spec, {"from": "nemo"})


def lhotse_corpus(manifest: str, spec: MelSpec) -> Corpus:
    """The audio of lhotse's cuts or recordings, as `manifest_sources` lists it, made into mels.

    Args:
        manifest: path of the manifest; `.gz` is unpacked.
        spec: mel contract of the mels to be made.

    Raises:
        ConfigError: as `manifest_sources`.
    """
    return Corpus(manifest_sources(manifest, "lhotse"), audio_blocks(spec), spec, {"from": "lhotse"})


def manifest_sources(manifest: str, kind: ManifestKind) -> Sources:
    """The audio that a manifest lists; each item's place is a `Clip`. A row that cannot be used is a failure.

    nemo: JSON lines with the audio's path in `audio_filepath`, `audio` or `path`, and optionally `offset` and
    `duration` [s]. The key is `key` if the row has it. Otherwise it is the path as the row has it, an absolute one as
    it is seen from the folder of the manifest; without extension and without leading "../". So it does not depend on
    the other rows. If there is an offset, the start and the end of the stretch in milliseconds follow; also if several
    stretches begin at the file's start. `text`, `speaker` and `lang` (as `language`) become metadata.

    lhotse: JSON lines, each a MonoCut or a Recording. The key is the `id`. `text`, `speaker` and `language` of a cut's
    supervisions become metadata: the texts in order, and a speaker or language if all supervisions agree. A row whose
    audio is not simply in one file (commands, which are never run, URLs, audio within the manifest, mixed and perturbed
    cuts) is a failure.

    A relative path is below the folder of the manifest, or if there is no such file, below the current folder. Rows
    that are equal count as one.

    Args:
        manifest: path of the manifest; `.gz` is unpacked.
        kind: kind of the manifest.

    Raises:
        ConfigError: if the manifest cannot be read, lists nothing, or two rows get the same key.
    """
    field = "key" if kind == "nemo" else "id"
    listing = Listing(manifest, way_out=f"give each of these rows a field {field!r} of its own, or remove one of them")
    entry = partial(_nemo, os.path.dirname(os.path.abspath(manifest))) if kind == "nemo" else _lhotse
    stamps: dict[str, str] = {}
    items: list[PackItem] = []
    for name, row in _rows(manifest, listing):
        try:
            key, clip, meta = entry(row)
            if fault := text_fault(meta):
                raise SourceError(fault)
            path = listed_path(clip.path, manifest)
            if not os.path.isfile(path):
                raise SourceError(f"there is no file {path}")
            if path not in stamps:
                stamps[path] = file_stamp(path)
        except (SourceError, OSError, ValueError) as exc:
            listing.fail(name, str(exc))
            continue
        place = Clip(path, clip.start, clip.duration, clip.channel)
        stamp = f"{stamps[path]} {clip.start} {clip.duration} {clip.channel}"
        items.append(PackItem(key, f"{key} ({name})", stamp, place, json.dumps(meta) if meta else ""))
    for item in _told_apart(items) if kind == "nemo" else items:
        listing.add(item)
    if not listing.found and not listing.failures:
        raise ConfigError(f"{manifest} lists no audio; give a manifest with at least one row")
    return listing.sources(note=_line_breaks(listing))


def _line_breaks(listing: Listing) -> str:
    """A text that says how many texts have a line break, and where first; empty if none has."""
    broken = [item for item in listing.found.values() if has_line_break(json.loads(item.meta or "{}"))]
    return (
        f"{counted(len(broken), 'text has', 'texts have')} a line break, first that of {broken[0].path}"
        if broken
        else ""
    )


def manifest_kind(path: str) -> ManifestKind | None:
    """The kind of a manifest by its first row that is a JSON object; None if it is neither.

    Raises:
        ConfigError: if the file cannot be read.
    """
    for number, line in read_lines(path):
        try:
            row = parse_object(line)
        except ValueError:
            if number > _LOOK:
                return None
            continue
        if "recording" in row or "sources" in row or str(row.get("type")).endswith("Cut"):
            return "lhotse"
        return "nemo" if any(name in row for name in _AUDIO_FIELDS) else None
    return None


def _told_apart(items: Sequence[PackItem]) -> Iterator[PackItem]:
    """The items, with the stretch in the key of each that begins where its file does, if several of a file do.

    Where only one does, its key is the path alone, so that keys of stores that were packed before stay as they are.
    """
    ends: dict[tuple[str, str], set[float | None]] = {}
    for item in items:
        if item.place.start == 0:
            ends.setdefault((item.key, item.place.path), set()).add(item.place.duration)
    for item in items:
        clip: Clip = item.place
        if clip.start or clip.duration is None or len(ends[item.key, clip.path]) == 1:
            yield item
        else:
            key = item.key + _stretch(clip.start, clip.duration)
            yield replace(item, key=key, path=key + item.path.removeprefix(item.key))


def _rows(manifest: str, listing: Listing) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in read_lines(manifest):
        if not line.strip():
            continue
        try:
            yield f"line {number}", parse_object(line)
        except ValueError as exc:
            listing.fail(f"line {number}", f"it is not a valid JSON object: {exc}")


def _nemo(folder: str, row: Row) -> Entry:
    named = _text(row, next((name for name in _AUDIO_FIELDS if row.get(name) is not None), _AUDIO_FIELDS[0]))
    start, duration = _seconds(row, "offset") or 0.0, _seconds(row, "duration")
    key = _text(row, "key") if row.get("key") is not None else _key(named, folder, start, duration)
    meta = {"text": row.get("text"), "speaker": row.get("speaker"), "language": row.get("lang", row.get("language"))}
    return key, Clip(named, start, duration), _plain(meta)


def _key(named: str, folder: str, start: float, duration: float | None) -> str:
    """The key of a stretch by its path, which is seen from the folder of the list if it is absolute."""
    path = os.path.relpath(named, folder) if os.path.isabs(named) else os.path.normpath(named)
    key = str(PurePosixPath(path).with_suffix(""))
    while key.startswith("../"):
        key = key.removeprefix("../")
    return key + (_stretch(start, duration) if start else "")


def _stretch(start: float, duration: float | None) -> str:
    """The start of a stretch, and its end if the row states one, as a key ends with them [ms]."""
    return f"-{round(start * 1000)}" + (f"-{round((start + duration) * 1000)}" if duration is not None else "")


def _lhotse(row: Row) -> Entry:
    if "recording" not in row and "sources" in row:
        return _text(row, "id"), Clip(_source(row, None)), {}
    if (kind := row.get("type", "MonoCut")) != "MonoCut":
        raise SourceError(f"it is a {kind!s:.40}; only MonoCuts and recordings are packed")
    recording = row.get("recording")
    if not isinstance(recording, Mapping):
        raise SourceError("it has no recording")
    channel = row.get("channel", 0)
    if type(channel) is not int or channel < 0:
        raise SourceError(f"its channel is {channel!r:.40}; it must be a whole number from 0")
    start, duration = _seconds(row, "start") or 0.0, _seconds(row, "duration")
    if duration is None:
        raise SourceError("it has no duration")
    clip = Clip(_source(recording, channel), start, duration, channel)
    return _text(row, "id"), clip, _supervised(row.get("supervisions") or [])


def _source(recording: Row, channel: int | None) -> str:
    """The path of the one file that holds a recording."""
    if recording.get("transforms"):
        raise SourceError("its recording is transformed (resampled, perturbed, ...); save the transformed audio first")
    sources = recording.get("sources")
    if not isinstance(sources, Sequence) or len(sources) != 1 or not isinstance(sources[0], Mapping):
        raise SourceError("its recording is not in exactly one file")
    if (kind := sources[0].get("type")) != "file":
        raise SourceError(f"its audio is of type {kind!s:.40}; only files are read, and commands are never run")
    channels = sources[0].get("channels")
    if channel is not None and channels != list(range(len(channels or []))):
        raise SourceError(f"the channels of its file are numbered {channels!s:.40}; they must be 0, 1, ...")
    return _text(sources[0], "source")


def _supervised(supervisions: Any) -> dict[str, Any]:
    if not isinstance(supervisions, Sequence) or not all(isinstance(each, Mapping) for each in supervisions):
        raise SourceError("its supervisions are not a list of JSON objects")
    ordered = sorted(supervisions, key=lambda each: _seconds(each, "start") or 0.0)
    texts = [each["text"] for each in ordered if isinstance(each.get("text"), str)]
    meta: dict[str, Any] = {"text": " ".join(texts) if texts else None}
    for name in ("speaker", "language"):
        said = {each[name] for each in ordered if isinstance(each.get(name), str)}
        meta[name] = said.pop() if len(said) == 1 else None
    return _plain(meta)


def _plain(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in meta.items() if isinstance(value, str | int | float)}


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise SourceError(f"its {name} is {value!r:.80}; it must be a text")
    return value


def _seconds(row: Row, name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 <= value < 1e7
    ):
        raise SourceError(f"its {name} is {value!r:.40}; it must be a number of seconds")
    return float(value)
