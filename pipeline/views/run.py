"""Makes an export: chooses the rows, has a format write them, and puts the folder in place whole."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.output.exports import ExportNote, export_notes, forget_gone
from pipeline.output.layout import RECEIPT
from pipeline.output.ledger import Ledger
from pipeline.output.published_manifest import PublishedManifest
from pipeline.output.published_rows import OPTIONAL_FIELDS, last_part
from pipeline.storage import NO_OPTIONS, LocalStorage, Storage, open_storage, translated
from pipeline.storage.clutter import is_clutter
from pipeline.storage.local import local_path
from pipeline.storage.whole_folder import WholeFolder, check_folder
from pipeline.views.audio import AudioOfRows
from pipeline.views.export_format import Making
from pipeline.views.files import ExportFiles
from pipeline.views.formats import FORMATS
from pipeline.views.options import ExportOptions
from pipeline.views.receipt import Receipt, entries
from pipeline.views.rows import exported_types, published_fields
from pipeline.views.writing import write_rows

_KEYS_SHOWN = 5


@dataclass(frozen=True)
class ExportReport:
    """What an export did.

    Args:
        output: URL or path of the output.
        target: path of the export.
        receipt: what the export is made of, and what is in it.
        made: whether anything was written; False if the export was up to date.
        reused: number of files that were taken over from the export before.
        noted: whether the output remembers where the export is; one that cannot be written does not.
    """

    output: str
    target: str
    receipt: Receipt
    made: bool
    reused: int = 0
    noted: bool = True

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values: its own fields, and those of the receipt; `when` is when it was made."""
        told = {**vars(self.receipt), "when": self.receipt.made, "files": len(self.receipt.files), **vars(self)}
        return {name: value for name, value in told.items() if name not in ("receipt", "folders")}


def export(output: str, target: str, options: ExportOptions, access: Mapping[str, Any] = NO_OPTIONS) -> ExportReport:
    """Write an output in another tool's format to a folder of its own, which is replaced whole.

    Args:
        output: URL or path of the output.
        target: path of the folder.
        options: what is asked of the export.
        access: options for the client of an object store.

    Raises:
        ConfigError: if there is no published output, an option does not fit, the format cannot say some utterances, or
            the folder holds files that no export has written.
        OwnedError: if another export to this folder is at work.
        StorageError: if the output cannot be read, or the folder cannot be written.
    """
    entry = FORMATS[options.to]
    entry.check(options)
    ledger = Ledger(open_storage(output, access))
    with PublishedManifest(ledger) as source:
        source.check_published()
        if _is_output(target, source):
            return _export_into_output(source, options)
        folder = _own_folder(target, source)
        described = _described(source, folder)
        made_of = _made_of(described, options, [source.url, str(folder)] if entry.absolute else [])
        before = _before(folder)
        if before is not None and before.made_of == made_of and before.is_whole(folder):
            noted = _note(ledger, before, str(folder))
            return ExportReport(source.url, str(folder), before, made=False, noted=noted)
        with WholeFolder(folder, "an export") as whole, translated(f"writing {folder}"):
            files = ExportFiles(whole.path, folder, _before(folder))
            receipt = _made(source, options, files, described, made_of)
            (whole.path / RECEIPT).write_bytes(receipt.to_json())
            whole.put_in_place()
    noted = _note(ledger, receipt, str(folder))
    return ExportReport(source.url, str(folder), receipt, True, files.reused, noted)


def _export_into_output(source: PublishedManifest, options: ExportOptions) -> ExportReport:
    """Put the file of an export, such as a card, into the output itself, atomically."""
    storage = source.ledger.storage
    usable = [name for name, entry in FORMATS.items() if entry.in_output]
    if options.to not in usable or options.audio or options.base:
        raise ConfigError(
            f"{source.url}: an export needs a folder of its own, not that of the output. Only --to {', '.join(usable)} "
            "can be in the output itself, without --audio and --base"
        )
    with tempfile.TemporaryDirectory() as scratch, translated(f"writing {source.url}"):
        folder = Path(scratch)  # not the output's own, which a run that begins would delete
        files = ExportFiles(folder, folder, earlier=partial(_text_in, storage))
        receipt = _made(source, options, files, {"manifest": source.sha256}, "", in_output=True)
        (name,) = (each.name for each in receipt.files)
        text = (folder / name).read_bytes()
        if made := text != _text_in(storage, name).encode():
            storage.replace(name, text)
    noted = _note(source.ledger, receipt, "")
    return ExportReport(source.url, f"{source.url}/{name}", receipt, made, noted=noted)


def _text_in(storage: Storage, name: str) -> str:
    try:
        with storage.read(name) as file:
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _made(
    source: PublishedManifest,
    options: ExportOptions,
    files: ExportFiles,
    described: Mapping[str, str],
    made_of: str,
    in_output: bool = False,
) -> Receipt:
    """Make all files of an export. Returns its receipt, which is not written yet."""
    with contextlib.ExitStack() as opened:
        opened.callback(files.close)
        audio = AudioOfRows(source.ledger.storage, files, options, in_output)
        opened.callback(audio.close)
        fields = published_fields(source)
        types = exported_types(fields.types, options)
        first = next(source.rows(), None)
        more = tuple(name for name in OPTIONAL_FIELDS if getattr(first, name, None) is not None)
        making = Making(source, fields, options, types, files, audio, opened, more, list(fields.notes))
        counts = write_rows(FORMATS[options.to].open(making), making)
        return Receipt(
            format=options.to,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            melmill=importlib.metadata.version("melmill"),
            output=described,
            options=options.to_dict(),
            made_of=made_of,
            counts=counts,
            notes=tuple(making.notes),
            files=files.finish(),
            folders=entries(files.folder),
        )


def _note(ledger: Ledger, receipt: Receipt, target: str) -> bool:
    """Have the output remember the export. False if it cannot be written."""
    files = () if target else tuple(each.name for each in receipt.files)
    manifest = receipt.output["manifest"]
    note = ExportNote(receipt.format, target, socket.gethostname(), receipt.made, manifest, files)
    if any(replace(each, made=note.made) == note for each in export_notes(ledger.storage)):
        return True
    forget_gone(ledger)
    return note.write(ledger.storage)


def _is_output(target: str, source: PublishedManifest) -> bool:
    storage = source.ledger.storage
    if isinstance(storage, LocalStorage):
        return "://" not in target and os.path.realpath(target) == os.path.realpath(storage.root)
    return target.rstrip("/") == storage.url


def _own_folder(target: str, source: PublishedManifest) -> Path:
    """The folder of the export. ConfigError if it is not one that an export may have."""
    if "://" in target and not target.startswith("file://"):
        raise ConfigError(
            f"{target}: an object store cannot replace all files of an export at once. Export to a local folder, with "
            "--base URL for the audio, and upload that"
        )
    folder = local_path(target)
    check_folder(folder)
    storage = source.ledger.storage
    if isinstance(storage, LocalStorage):
        mine, theirs = Path(os.path.realpath(folder)), Path(os.path.realpath(storage.root))
        if theirs in mine.parents or mine in theirs.parents:
            raise ConfigError(f"{target}: an export needs a folder of its own, not in or around the output {theirs}")
    return Path(os.path.realpath(folder))


def _before(target: Path) -> Receipt | None:
    """The receipt of the export that is there now; None if the folder is new or empty.

    Raises:
        ConfigError: if it holds what no export has written.
    """
    try:
        receipt = Receipt.of(target)
    except ValueError as error:
        raise ConfigError(f"{target}/{RECEIPT} cannot be read: {error}. Choose another folder, or delete it") from error
    if receipt is None and entries(target).get(""):
        there = next(each for each in sorted(os.listdir(target)) if not is_clutter(each))
        raise ConfigError(
            f"{target} holds {there}, and no export of melmill. Choose another folder: an export replaces all that is "
            "in its own"
        )
    if receipt is not None and (strangers := receipt.strangers(target)):
        names = ", ".join(strangers[:_KEYS_SHOWN]) + (", ..." if len(strangers) > _KEYS_SHOWN else "")
        raise ConfigError(
            f"{target} holds {names}, which the export did not write, and which exporting again would delete. Move it "
            "away, or choose another folder"
        )
    return receipt


def _made_of(described: Mapping[str, str], options: ExportOptions, places: list[str]) -> str:
    """Digest of all that an export depends on. `places` are where output and export are, if it holds their paths."""
    version = importlib.metadata.version("melmill")
    words = json.dumps([version, described["url"], described["manifest"], options.to_dict(), *places], sort_keys=True)
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()


def _described(source: PublishedManifest, target: Path) -> dict[str, str]:
    """What the receipt says of the output: no path of the maker beyond where it lies from the export."""
    storage, publication = source.ledger.storage, source.ledger.publication()
    local = isinstance(storage, LocalStorage)
    return {
        "url": os.path.relpath(storage.url, target) if local else storage.url,
        "name": last_part(storage.url),
        "run_id": publication.run_id if publication is not None else "",
        "manifest": source.sha256,
    }
