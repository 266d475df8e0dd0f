from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.exports import make_output, make_store

from pipeline.output.common_fields import common_fields
from pipeline.output.records import Row, Source
from pipeline.views.rows import ExportRow


@pytest.fixture(scope="session")
def short_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("short"))


@pytest.fixture(scope="session")
def exported(short_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Gives an output with hostile keys and metadata, by container and sidecar. Not to be changed."""

    @cache
    def make(container: str = "tar", sidecar: str = "full") -> Path:
        return make_output(short_store, tmp_path_factory.mktemp("e"), container=container, sidecar=sidecar)

    return make


@pytest.fixture
def own_output(short_store: Path, tmp_path: Path) -> Path:
    """Such an output in tars, that a test may change and run again."""
    return make_output(short_store, tmp_path)


@pytest.fixture
def made_row() -> Callable[..., ExportRow]:
    """Makes a row of an export, with some fields as given; `text`, `speaker` and `language` come from its metadata."""

    def make(meta: dict[str, Any] | None = None, **fields: Any) -> ExportRow:
        plain: dict[str, Any] = {
            "key": "a", "shard": "data/000000-00000000.tar", "member": "a.flac", "offset": 512, "bytes": 100,
            "sample_rate": 22050, "num_samples": 22050, "duration": 1.0, "subtype": "PCM_16", "pcm_sha256": "0" * 64,
            "peak": 0.5, "rms_dbfs": -20.0, "clipped": 0, "mel_distance": 0.2, "mel_distance_relative": 0.1,
            "source": Source("s", 0, "0"), "meta": meta or {}, **fields,
        }  # fmt: skip
        return ExportRow(Row(**plain), "train", common_fields(plain["meta"]))

    return make
