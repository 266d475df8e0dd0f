"""Mels in Kaldi's archives: .ark files, given directly or through an .scp that lists their matrices."""

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
from pipeline.stores.keys import MAX_KEY_BYTES
from pipeline.stores.text_lists import listed_path, read_lines

KALDI_EXTENSIONS = frozenset({"ark", "scp"})
FEATS = "feats.scp"
"""Name of the list of features in a Kaldi data folder."""
_OFFSET = re.compile(r"(.+):([0-9]{1,18})")


def kaldi_corpus(source: str, spec: MelSpec) -> Corpus:
    """The matrices `[frames, n_mels]` of an .scp, of an .ark, or of the `feats.scp` in a folder.

    Commands (lines with a pipe) are never run: they are listed as failures. A relative path in an .scp is below the
    folder of the .scp, or if there is no such file, below the current folder.

    Args:
        source: path of the .scp, .ark or folder.
        spec: mel contract that the mels have.

    Raises:
        ConfigError: if the source cannot be read, is empty, or has a key twice.
        StorageError: if an archive cannot be read.
    """
    path = os.path.join(source, FEATS) if os.path.isdir(source) else source
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: there is no such file; give an .scp, an .ark or a folder with {FEATS}")
    listing = Listing(path)
    try:
        for item in _archive(path, listing) if path.endswith(".ark") else _script(path, listing):
            listing.add(item)
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc}") from exc
    if not listing.found and not listing.failures:
        raise ConfigError(f"{path} lists no matrices; give a list or archive with at least one")
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
            listing.fail(f"line {number}", f"it is {line[:80]!r}; a line must be a key, then FILE or FILE:OFFSET")
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
    path = listed_path(named, listed_in)
    if not os.path.isfile(path):
        raise SourceError(f"{path} is not there")
    return ArkPlace(path, offset)


def _archive(path: str, listing: Listing) -> Iterator[PackItem]:
    """The matrices of an archive, up to the first that cannot be read: its length, and so the next, is not known."""
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
                listing.fail(named, f"{exc}; the archive was not read beyond byte {begin}")
                return


def _key(file: IO[bytes]) -> bytes:
    """The key at the file's position, which then moves to the byte after the space that ends the key."""
    begin = file.tell()
    key, space, _ = file.read(MAX_KEY_BYTES + 1).partition(b" ")
    if not space or not key or BINARY in key:
        raise SourceError(f"it has {key[:20]!r} in place of a key")
    file.seek(begin + len(key) + 1)
    return key
