"""The packing of a corpus: it has one owner, is resumed after an interruption, and names only a whole store `out`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel_analysis import mel_analysis_name
from pipeline.errors import ConfigError, InterruptedRunError, OwnedError, StorageError
from pipeline.melspec import MelSpec
from pipeline.pack.journal import Journal, Packed
from pipeline.pack.result import FAILURES_SUFFIX, OnProgress, PackFailure, PackProgress, PackResult
from pipeline.pack.sources import Corpus, MelBlocks, Sources
from pipeline.pack.workers import MadeMel, MelJob, made_in_order
from pipeline.pack.writer import ShardWriter, write_metadata
from pipeline.storage.atomic import atomic_write, sync
from pipeline.storage.filelock import open_lock, try_lock
from pipeline.stores.list_keys import MatchedRows, match_rows
from pipeline.stores.metadata_lists import Metadata

_NAMED = 5  # number of failures that the error names if nothing could be packed
_SPOOLED_ROWS = 16384  # number of rows read at once from a spooled mel


def pack(
    corpus: Corpus,
    out: str,
    metadata: Metadata | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> PackResult:
    """Packs a corpus into the ragged store `out`. `pack_source` says what it promises.

    Args:
        corpus: corpus to be packed. An interrupted packing of other sources or parameters is not resumed.
        out: local path of the new store.
        metadata: metadata of the utterances by key; its fields override those that the corpus has.
        workers: number of worker processes; 1 for this process alone, None for one per processor.
        on_progress: callback that is given the progress at the start and after each utterance.

    Raises:
        ConfigError, OwnedError, StorageError, InterruptedRunError: as `pack_source`.
    """
    target, spec = Path(out), corpus.spec
    sources, matched = _with_metadata(corpus.sources, metadata)
    with _storage_errors(target), _owned(target) as partial:
        journal = Journal(partial / "journal.jsonl", _identity(corpus, sources))
        kept, restarted = journal.packed.done, journal.restarted
        _clear(partial, keep=journal.packed.shards > 0)
        try:
            journal.start()
            run = _Packing(sources, partial, spec, journal, on_progress, kept)
            run.go(corpus.blocks, workers or len(os.sched_getaffinity(0)))
        except KeyboardInterrupt:
            done = f"{journal.packed.done} of {len(sources.items)} utterances are done"
            raise InterruptedRunError(f"packing {out} was stopped ({done}); run the command again to resume") from None
        finally:
            journal.close()
        packed = journal.packed
        failures = (*sources.failures, *packed.failures)
        listed = _list_failures(target, failures, bool(packed.keys))
        if not packed.keys:
            shutil.rmtree(partial)
            raise ConfigError(_nothing_packed(sources.origin, failures, listed))
        metas = {source.key: source.meta for source in sources.items}
        _publish(partial, target, spec, packed, [metas[key] for key in packed.keys])
    frames = sum(packed.frames)
    return PackResult(
        store=out,
        utterances=len(packed.keys),
        frames=frames,
        seconds=spec.seconds(frames),
        failures=tuple(failures),
        ignored=sources.ignored,
        kept=kept,
        restarted=restarted,
        without_metadata=tuple(key for key in packed.keys if key not in matched.rows) if metadata else (),
        unused_metadata=matched.unused,
        clutter=sources.clutter,
        notes=tuple(note for note in (sources.note, matched.note) if note),
    )


def _identity(corpus: Corpus, sources: Sources) -> dict[str, Any]:
    """All that the bits of the mels depend on."""
    return {
        "parameters": {**corpus.parameters, "mel": corpus.spec.to_dict()},
        "versions": {
            **{name: version(name) for name in ("melmill", "numpy", "soundfile", "soxr")},
            "mel analysis": mel_analysis_name(),
        },
        "sources": sources.digest(),
    }


def _with_metadata(sources: Sources, metadata: Metadata | None) -> tuple[Sources, MatchedRows]:
    if metadata is None or not sources.items:
        return sources, MatchedRows({})
    matched = match_rows(metadata, [item.key for item in sources.items], sources.origin)
    return sources.with_metadata(matched.rows), matched


class _Packing:
    """The loop over the items that are still to be packed."""

    def __init__(
        self,
        sources: Sources,
        partial: Path,
        spec: MelSpec,
        journal: Journal,
        on_progress: OnProgress | None,
        kept: int,
    ) -> None:
        self._sources = sources
        self._partial = partial
        self._spec = spec
        self._journal = journal
        self._on_progress = on_progress
        self._kept = kept
        self._seconds = spec.seconds(sum(journal.packed.frames))

    def go(self, blocks: MelBlocks, workers: int) -> None:
        packed = self._journal.packed
        writer = ShardWriter(self._partial / "store", self._spec.n_mels, packed.shards, self._journal.shard)
        # The utterance that crosses the end of the last durable shard is made again, without its rows in that shard.
        skip = writer.rows - sum(packed.frames)
        items = self._sources.items[packed.done :]
        jobs = [MelJob(item.place, str(self._partial / "spool" / str(index))) for index, item in enumerate(items)]
        self._tell()
        with contextlib.closing(made_in_order(blocks, jobs, max(1, min(workers, len(jobs))))) as made:
            for item, job, mel in zip(items, jobs, made, strict=True):
                if mel.frames < skip:
                    raise StorageError(
                        f"{item.path} could be packed before the interruption and cannot be packed now "
                        f"({mel.failure or 'it is shorter'}); delete {self._partial} and pack from scratch"
                    )
                if mel.failure is None:
                    for rows in _rows(mel, job, self._spec.n_mels):
                        writer.append(rows[skip:])
                        skip = max(0, skip - len(rows))
                    self._journal.utterance(item.key, mel.frames, mel.digest)
                    self._seconds += self._spec.seconds(mel.frames)
                else:
                    self._journal.failure(item.path, mel.failure)
                self._tell()
        writer.finish()

    def _tell(self) -> None:
        if self._on_progress is not None:
            packed, before = self._journal.packed, self._sources.failures
            self._on_progress(
                PackProgress(
                    done=packed.done + len(before),
                    total=len(self._sources.items) + len(before),
                    seconds=self._seconds,
                    failures=len(packed.failures) + len(before),
                    kept=self._kept,
                    restarted=self._journal.restarted,
                )
            )


def _rows(mel: MadeMel, job: MelJob, n_mels: int) -> Iterator[NDArray[np.float32]]:
    """The rows of a mel, from memory or from its spool file, which is then removed."""
    if mel.rows is not None:
        yield mel.rows
        return
    with open(job.spool, "rb") as file:
        while content := file.read(_SPOOLED_ROWS * n_mels * 4):
            yield np.frombuffer(content, "<f4").reshape(-1, n_mels)
    os.unlink(job.spool)


def _clear(partial: Path, keep: bool) -> None:
    """Removes the files of an earlier packing that this one cannot use."""
    shutil.rmtree(partial / "spool", ignore_errors=True)
    if not keep:
        shutil.rmtree(partial / "store", ignore_errors=True)
    for name in ("store", "spool"):
        (partial / name).mkdir(exist_ok=True)


def _publish(partial: Path, target: Path, spec: MelSpec, packed: Packed, metas: list[str]) -> None:
    write_metadata(partial / "store", spec, packed.keys, packed.frames, packed.digests, metas)
    _refuse_existing(target)
    os.rename(partial / "store", target)
    sync(target.parent)
    shutil.rmtree(partial)


def _nothing_packed(origin: str, failures: Sequence[PackFailure], listed: Path) -> str:
    named = "; ".join(f"{each.path}: {each.reason}" for each in failures[:_NAMED])
    more = f"; and {len(failures) - _NAMED} more, in {listed}" if len(failures) > _NAMED else ""
    return f"no utterance in {origin} could be packed ({len(failures)} tried): {named}{more}"


def _list_failures(target: Path, failures: Sequence[PackFailure], packed: bool) -> Path:
    """Writes the list of failures beside the store; its path.

    It is removed if there are none, or if nothing was packed and the error names them all.
    """
    path = target.with_name(target.name + FAILURES_SUFFIX)
    if not failures or (not packed and len(failures) <= _NAMED):
        path.unlink(missing_ok=True)
        return path
    with atomic_write(path) as file:
        for failure in failures:
            row = {"path": failure.path, "reason": failure.reason}
            file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
    return path


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise ConfigError(f"{target} exists; delete it, or choose another name")


@contextlib.contextmanager
def _owned(target: Path) -> Iterator[Path]:
    """The folder `<target>.partial`, while a lock on `<target>.lock` keeps other processes out of it."""
    if "://" in str(target) or ":/" in str(target):
        raise ConfigError(f"{target} is a URL; pack to a local folder, and copy the finished store to the URL")
    _refuse_existing(target)
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(target.name + ".lock")
    descriptor = _lock(lock, target)
    try:
        _refuse_existing(target)
        partial = target.with_name(target.name + ".partial")
        partial.mkdir(exist_ok=True)
        yield partial
    finally:
        os.unlink(lock)  # still locked: who has it open finds another file of that name, or none
        os.close(descriptor)


def _lock(lock: Path, target: Path) -> int:
    while True:
        descriptor = open_lock(lock)
        try:
            if not try_lock(descriptor):
                raise OwnedError(f"{target} is being packed by another process; wait for it, or stop it")
            with contextlib.suppress(FileNotFoundError):  # the owner before removed it
                if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextlib.contextmanager
def _storage_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(
            f"{target} cannot be written: {exc}; check the free space and the permissions, then run again to resume"
        ) from exc
