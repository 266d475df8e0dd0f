from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from support.exports import make_output, make_store


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
