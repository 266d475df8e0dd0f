"""Mels in Kaldi's archives: .ark files, by themselves or through the .scp that lists what is in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import IO

from pipeline.errors import ConfigError, StorageError
from pipeline.melspec import MelSpec
from pipeline.pack.kaldi_matrix import BINARY, ArkPlace, open_ark, read_header
from pipeline.pack.matrices import matrix_corpus
from pipeline.pack.sources import Corpus, Listing, PackItem, SourceError, file_stamp
from pipeline.stores.common import MAX_KEY_BYTES
from pipeline.stores.text_lists import read_lines, resolved

KALDI_EXTENSIONS = frozenset({"ark", "scp"})
FEATS = "feats.scp"
"""What lists the features in a Kaldi data folder."""
_OFFSET = re.compile(r"(.+):([0-9]{1,18})")


def kaldi_corpus(source: str, spec: MelSpec) -> Corpus:
    """The matrices, `[frames, n_mels]`, of an .scp, of an .ark, or of the `feats.scp` of a folder.

    Commands (lines with a pipe) are never run: they are listed as failures. A relative path in an .scp is below the
    .scp's own folder, or if it is not there, below that of the command.

    Args:
        source: path of the .scp, .ark or folder.
        spec: the mel contract that the mels are known to have.

    Raises:
        ConfigError: if it cannot be read, is empty, or a key stands twice.
        StorageError: if an archive cannot be read.
    """
    path = os.path.join(source, FEATS) if os.path.isdir(source) else source
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: there is no such file; give an .scp, an .ark or a folder with {FEATS}")
    listing = Listing(path)
    try:
        for one in _archive(path, listing) if path.endswith(".ark") else _script(path, listing):
            listing.add(one)
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc}") from exc
    if not listing.found and not listing.failures:
        raise ConfigError(f"{path} lists nothing")
    return matrix_corpus(listing.sources(), open_ark, spec, "kaldi", "frames-first")


def _script(path: str, listing: Listing) -> Iterator[PackItem]:
    stamps: dict[str, str] = {}
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            key, where = line.decode().split(maxsplit=1)
            place = _place(where.strip(), path)
            if place.path not in stamps:
                stamps[place.path] = file_stamp(place.path)
        except UnicodeDecodeError:
            listing.fail(f"line {number}", "it is not valid UTF-8")
        except ValueError:
            listing.fail(f"line {number}", f"it is {line[:80]!r}; a line is a key, and a file or FILE:OFFSET")
        except SourceError as exc:
            listing.fail(f"{key} (line {number})", str(exc))
        except OSError as exc:
            listing.fail(f"{key} (line {number})", f"it cannot be read: {exc}")
        else:
            yield PackItem(key, f"{key} (line {number})", f"{stamps[place.path]} {place.offset}", place)


def _place(where: str, listed_in: str) -> ArkPlace:
    if where.startswith("|") or where.endswith("|"):
        raise SourceError(
            f"{where[:80]!r} is a command, which melmill does not run; write its output to an archive with copy-feats"
        )
    if where.endswith("]"):
        raise SourceError(f"{where[:80]!r} is a range, which is not read; write it to an archive with copy-feats")
    match = _OFFSET.fullmatch(where)
    named, offset = (match[1], int(match[2])) if match else (where, 0)
    path = resolved(named, listed_in)
    if not os.path.isfile(path):
        raise SourceError(f"{path} is not there")
    return ArkPlace(path, offset)


def _archive(path: str, listing: Listing) -> Iterator[PackItem]:
    """The matrices of an archive. What follows one that cannot be understood cannot be found either."""
    stamp, size = file_stamp(path), os.path.getsize(path)
    with open(path, "rb") as file:
        while (begin := file.tell()) < size:
            key = b""
            try:
                key = _key(file)
                place = ArkPlace(os.path.abspath(path), file.tell())
                end = read_header(file, size).end
                file.seek(end)
                yield PackItem(key.decode(), key.decode(), f"{stamp} {place.offset}", place)
            except UnicodeDecodeError:
                listing.fail(repr(key), "its key is not valid UTF-8")
            except SourceError as exc:
                named = key.decode("utf-8", "backslashreplace") or f"byte {begin}"
                listing.fail(named, f"{exc}; what follows byte {begin} of the archive was not read")
                return


def _key(file: IO[bytes]) -> bytes:
    """The key at the file's position, which moves behind the space that ends it."""
    begin = file.tell()
    key, space, _ = file.read(MAX_KEY_BYTES + 1).partition(b" ")
    if not space or not key or BINARY in key:
        raise SourceError(f"there is no key but {key[:20]!r}")
    file.seek(begin + len(key) + 1)
    return key
