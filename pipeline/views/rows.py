"""The rows of an export: with every field of the corpus, under its name in the export, each in its split."""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ConfigError
from pipeline.output.common_fields import COMMON_FIELDS, common_fields
from pipeline.output.layout import shard_of
from pipeline.output.published_manifest import PublishedManifest
from pipeline.output.records import Row
from pipeline.planning.fields import Fields, FieldType, unified
from pipeline.views.options import ExportOptions
from pipeline.wording import meant

_OWN_FIELDS = tuple(each.name for each in dataclasses.fields(Row) if each.name not in ("meta", "source"))


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One utterance of an export.

    Args:
        row: its row in the manifest. `row.meta` has every field of the corpus, each of the corpus's type, under its
            name in the export.
        split: name of its split.
        common: its text, speaker and language, as text; "" where its metadata has none.
    """

    row: Row
    split: str
    common: Mapping[str, str]

    @property
    def key(self) -> str:
        """The utterance's name. One of digits is text, too."""
        return self.row.key


def chosen_rows(rows: Iterable[Row], types: Mapping[str, FieldType], options: ExportOptions) -> Iterator[ExportRow]:
    """The rows as an export has them, in order.

    Args:
        rows: rows of the manifest.
        types: name of each field of the metadata -> its type.
        options: what is asked of the export.

    Raises:
        ConfigError: if `--map` or `--by` does not fit the fields.
    """
    names = _new_names(types, options)
    value = _deciding(types, options)
    split = _Splits(options.split)
    for row in rows:
        meta = unified(row.meta, types)
        told = dataclasses.replace(row, meta={names.get(name, name): each for name, each in meta.items()})
        yield ExportRow(told, split.of(value(row, meta)), common_fields(told.meta))


def published_fields(manifest: PublishedManifest) -> Fields:
    """The fields of the metadata, one type for each: those that the run has written down, or else those found.

    To find them takes a pass over the manifest.
    """
    job, publication = manifest.ledger.existing_job(), manifest.ledger.publication()
    written = job.get("metadata", {}).get("fields")
    of_this_run = publication is not None and "counts" in job and job.get("run_id") == publication.run_id
    if written is not None and of_this_run:
        return Fields(dict(sorted(written.items())))
    return Fields.of(row.meta for row in manifest.rows())


def exported_types(types: Mapping[str, FieldType], options: ExportOptions) -> dict[str, FieldType]:
    """The types of the metadata under their names in the export. Raises ConfigError if `--map` does not fit."""
    names = _new_names(types, options)
    return {names.get(name, name): known for name, known in types.items()}


def unknown_name(option: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error that there is no field of a name: with the nearest name, and those that there are."""
    names = list(known)
    there = ", ".join(names) or "none"
    return ConfigError(f"{option}: there is no field {name}{meant(name, names)}. There are {there}")


def _new_names(types: Mapping[str, FieldType], options: ExportOptions) -> dict[str, str]:
    names = dict(options.renamed)
    for name, new in names.items():
        if name not in types:
            raise unknown_name(f"--map {name}={new}", name, types)
        if new in types and new not in names:
            raise ConfigError(f"--map {name}={new}: the metadata has a field {new}, too. Rename it as well")
    return names


def _deciding(types: Mapping[str, FieldType], options: ExportOptions) -> Callable[[Row, Mapping[str, Any]], str]:
    """What decides on the split of a row, as text."""
    by = options.by
    if by == "key" or len(options.split) == 1:
        return lambda row, meta: row.key
    if by == "shard":  # its name changes when it is made again, its number does not
        return lambda row, meta: shard_number(row.shard)
    if by not in (*_OWN_FIELDS, *COMMON_FIELDS, *types):
        raise unknown_name(f"--by {by}", by, dict.fromkeys((*COMMON_FIELDS, *types, *_OWN_FIELDS)))

    def value(row: Row, meta: Mapping[str, Any]) -> str:
        found = common_fields(row.meta)[by] if by in COMMON_FIELDS else meta.get(by, getattr(row, by, None))
        if found in (None, ""):
            raise ConfigError(
                f"--by {by}: {row.key!r} has no {by}, so nothing decides on its split. Leave out such utterances, as "
                f"with --where \"{by} <> ''\", or choose another field"
            )
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, sort_keys=True)

    return value


def shard_number(shard: str) -> str:
    """The number of a shard, which stays when the shard is made again; of no shard of melmill, its name."""
    name = shard_of(shard) or shard_of(f"{shard}/file")  # a tar, or a folder of files
    return name.partition("-")[0] if name is not None else shard


class _Splits:
    """Which split a value belongs to: the hash of the value, as a part of all hashes, falls into the share of one.

    So a value keeps its split whatever else is in the corpus.
    """

    def __init__(self, shares: tuple[tuple[str, float], ...]) -> None:
        self._names = [name for name, _ in shares]
        self._ends = list(itertools.accumulate(share for _, share in shares))[:-1]

    def of(self, value: str) -> str:
        if len(self._names) == 1:
            return self._names[0]
        found = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return self._names[bisect.bisect_right(self._ends, int.from_bytes(found, "big") / 2**64)]
