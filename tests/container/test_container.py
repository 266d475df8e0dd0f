"""configs/Containerfile, built with the wheel of `make wheel` and run as its user.

It is built over Debian 13 as debootstrap unpacks it, since no image can be fetched here. `python:3.13-slim`, which it
names, is Debian 13, too. buildah runs the commands in a chroot; no daemon is needed.
"""

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.distributions import the_only
from support.paths import CONFIGS, ROOT

FOLDER = ROOT / "build" / "container"
DEBIAN = ROOT / "build" / "debian13"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def buildah(*words: object) -> str:
    """What a command of buildah printed, which must succeed. Its images lie in FOLDER."""
    options = ["--root", FOLDER / "images", "--runroot", FOLDER / "run", "--storage-driver", "vfs"]
    command = [str(each) for each in ("buildah", *options, *words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """The image of Debian 13, with the certificates and the settings by which pip finds packages here."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    settings = [f"ENV {name}={json.dumps(value)}" for name, value in os.environ.items() if name.startswith("PIP_")]
    lines = ["FROM scratch", "ADD root /", *settings]
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, DEBIAN)
        lines.append(f"ADD {CERTIFICATES.name} {CERTIFICATES}")
    (FOLDER / "Containerfile").write_text("\n".join(lines))
    buildah("build", "--isolation", "chroot", "--file", FOLDER / "Containerfile", "--tag", "debian", DEBIAN)
    yield "localhost/debian"
    shutil.rmtree(FOLDER)


@dataclass(frozen=True)
class Image:
    """An image of melmill, and a container of it."""

    config: dict[str, Any]
    container: str

    def run(self, *arguments: str) -> str:
        """What the image's command printed, given these arguments."""
        return buildah("run", "--isolation", "chroot", self.container, "--", *self.config["Entrypoint"], *arguments)


@pytest.fixture(scope="module")
def image(base: str) -> Image:
    given = ["--build-arg", f"BASE={base}", "--build-arg", "EXTRAS=hdf5"]
    place = ["--file", CONFIGS / "Containerfile", "--ignorefile", CONFIGS / "Containerfile.dockerignore"]
    buildah("build", "--isolation", "chroot", *given, *place, "--tag", "melmill", ROOT)
    config = json.loads(buildah("inspect", "--type", "image", "localhost/melmill"))["OCIv1"]["config"]
    return Image(config, buildah("from", "localhost/melmill").strip())


def test_the_image_has_the_version_of_the_wheel_and_the_extras_that_were_asked_for(image: Image) -> None:
    assert image.run("--version") == f"melmill {VERSION}\n"
    assert the_only("*.whl").name.split("-")[1] == VERSION
    packages = buildah("run", "--isolation", "chroot", image.container, "--", "/opt/melmill/bin/pip", "list")
    assert "h5py" in packages
    assert "s3fs" not in packages


def test_the_image_makes_the_demo_as_a_user_without_rights(image: Image) -> None:
    assert (image.config["User"], image.config["WorkingDir"]) == ("1000", "/data")
    assert "melmill-demo/audio is whole: 24 utterances" in image.run("demo")


def test_the_image_has_the_locked_versions(image: Image) -> None:
    frozen = buildah("run", "--isolation", "chroot", image.container, "--", "/opt/melmill/bin/pip", "freeze").split()
    locked = {line.split()[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line}
    assert {line for line in frozen if line.startswith(("numpy==", "dask==", "onnxruntime=="))} <= locked
