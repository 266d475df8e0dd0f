"""Reads a report as its page does: the JSON in index.html, and what lies in its .js files."""

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DATA = re.compile(r'<script type="application/json" id="report">(.*?)</script>', re.DOTALL)
_CALL = re.compile(r'melmill\("([\w./-]+)","([A-Za-z0-9+/=]+)"\)\n')


def page_of(folder: Path) -> dict[str, Any]:
    """What the page is given."""
    (text,) = _DATA.findall((folder / "index.html").read_text("utf-8"))
    found: dict[str, Any] = json.loads(text)
    return found


def content_of(folder: Path, name: str) -> bytes:
    """What a .js file of a report holds."""
    call = _CALL.fullmatch((folder / name).read_text("ascii"))
    assert call is not None
    assert call[1] == name
    return zlib.decompress(base64.b64decode(call[2]))


def mels_of(folder: Path, name: str) -> tuple[dict[str, Any], list[NDArray[np.uint8]]]:
    """The header of a clip's mels, and the mels: of input and audio, or of the audio alone."""
    header, _, values = content_of(folder, name).partition(b"\n")
    about = json.loads(header)
    return about, list(np.frombuffer(values, np.uint8).reshape(-1, about["n_mels"], about["frames"]))


def every_text(folder: Path) -> str:
    """All that a report says, in whatever file."""
    texts = [(folder / name).read_text("utf-8") for name in ("index.html", "report.json")]
    names = [path.relative_to(folder).as_posix() for path in folder.glob("*/*.js")]
    return "\n".join([*texts, *(content_of(folder, name).partition(b"\n")[0].decode() for name in names)])
