"""Texts of errors and jobs without what a page must not tell of the machine that it was made on: paths and secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.output.published_rows import last_part
from pipeline.redaction import redacted
from pipeline.report.published_output import PublishedOutput

_PATH = re.compile(r"(?<![\w./:~-])(?:~|file://)?/(?:[^\s/'\",:;()<>]+/)+([^\s/'\",:;()<>]*)")
"""An absolute path of two parts or more; the last one is kept."""
_ADDRESS = re.compile(r"\b(?:tcp|tls|ucx|ws|wss|inproc)://[^\s'\",;()<>]+")


@dataclass(frozen=True)
class PrivateTexts:
    """Takes private things out of texts.

    Args:
        places: URL or path -> what is shown in its place.
    """

    places: Mapping[str, str]

    @classmethod
    def of(cls, output: PublishedOutput) -> PrivateTexts:
        """For texts about an output and the store that it was made from: only their names are shown."""
        urls = {output.url: output.name}
        for section, key in (("input", "store"), ("output", "url"), ("input", "meta"), ("vocoder", "name")):
            url = output.section(section).get(key)
            if isinstance(url, str) and url:
                urls[url] = last_part(url)
        return cls(dict(sorted(urls.items(), key=lambda each: -len(each[0]))))

    def shown(self, text: str) -> str:
        """A text as the page shows it.

        >>> PrivateTexts({"/home/anna/mels.zarr": "mels.zarr"}).shown("reading /home/anna/mels.zarr/c/0 of /etc/x/y")
        'reading mels.zarr/c/0 of y'
        """
        text = redacted(text)
        for place, name in self.places.items():
            if place != name:
                text = text.replace(place, name)
        return _ADDRESS.sub("a worker", _PATH.sub(r"\1", text))

    def value(self, value: Any) -> Any:
        """Plain JSON values with all texts in them as the page shows them."""
        if isinstance(value, str):
            return self.shown(value)
        if isinstance(value, dict):
            return {name: self.value(each) for name, each in value.items()}
        return [self.value(each) for each in value] if isinstance(value, list) else value
