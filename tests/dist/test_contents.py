"""What is in the wheel and in the sdist that `make dist` built, and that one builds the other."""

import email
import fnmatch
import subprocess
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from support.distributions import BUILT_FROM_THE_TREE, DIST, the_only
from support.paths import ROOT

MOST_MEGABYTES = 10
"""Of each, as it is downloaded. Weights and prompts are 7 MB of it."""


def committed(*places: str) -> set[str]:
    """The files of the checkout below these places that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *places],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def wheel() -> dict[str, bytes]:
    """Name of a file -> its content."""
    with zipfile.ZipFile(the_only("*.whl")) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist() -> dict[str, bytes]:
    """The same, by names below the one folder that is in it."""
    with tarfile.open(the_only("*.tar.gz")) as archive:
        opened = ((member.name, archive.extractfile(member)) for member in archive)
        files = {name: file.read() for name, file in opened if file is not None}
    folder = the_only("*.tar.gz").name.removesuffix(".tar.gz")
    assert {name.partition("/")[0] for name in files} == {folder}
    return {name.partition("/")[2]: content for name, content in files.items()}


def metadata(wheel: dict[str, bytes]) -> Message:
    (name,) = fnmatch.filter(wheel, "*.dist-info/METADATA")
    return email.message_from_string(wheel[name].decode())


def test_the_wheel_is_the_package_of_the_checkout_and_nothing_else(wheel: dict[str, bytes]) -> None:
    info = f"{the_only('*.whl').name.removesuffix('-py3-none-any.whl')}.dist-info"
    package = {name for name in wheel if not name.startswith(f"{info}/")}
    page = "pipeline/report/page"  # of which the wheel has what was built
    sources = {
        *committed(f"{page}/src"),
        *(f"{page}/{name}" for name in ("biome.json", "build.mjs", "package.json", "package-lock.json")),
    }
    assert package == committed("pipeline") - sources
    assert {f"{page}/index.html", f"{page}/THIRD_PARTY.md"} <= package
    assert {"pipeline/py.typed", "pipeline/vocoders/weights/lift.onnx"} <= package
    assert all(wheel[name] == (ROOT / name).read_bytes() for name in package)
    assert wheel[f"{info}/entry_points.txt"].decode().split() == [
        "[console_scripts]", "melmill", "=", "pipeline.__main__:main",
    ]  # fmt: skip


def test_the_sdist_has_the_package_the_documents_and_no_tests(sdist: dict[str, bytes]) -> None:
    documents = (
        "configs",
        "docs",
        "*.md",
        "CITATION.cff",
        "LICENSE",
        "pyproject.toml",
        "requirements.txt",
        ".gitignore",
    )
    assert set(sdist) == committed("pipeline", *documents) - committed("tests") | {"PKG-INFO"}
    assert all(content == (ROOT / name).read_bytes() for name, content in sdist.items() if name != "PKG-INFO")


def test_the_sdist_builds_the_wheel_that_the_checkout_builds() -> None:
    """dist/ has the wheel that was built from the sdist."""
    other = the_only("*.whl", BUILT_FROM_THE_TREE)
    assert other.name == the_only("*.whl").name
    assert other.read_bytes() == the_only("*.whl").read_bytes()


def test_every_licence_is_in_the_wheel_and_named(wheel: dict[str, bytes]) -> None:
    said = metadata(wheel)
    assert said["License-Expression"] == "MIT AND CC-BY-SA-3.0 AND ISC AND Apache-2.0"
    licences = {name for name in committed("LICENSE", "pipeline") if Path(name).stem in ("LICENSE", "THIRD_PARTY")}
    assert len(licences) == 4
    assert set(said.get_all("License-File", [])) == licences
    (info,) = {name.partition("/")[0] for name in wheel if ".dist-info/" in name}
    assert all(wheel[f"{info}/licenses/{name}"] == (ROOT / name).read_bytes() for name in licences)


def test_what_is_said_of_the_wheel_is_what_pyproject_says(wheel: dict[str, bytes]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    said = metadata(wheel)
    assert (said["Name"], said["Version"]) == (project["name"], project["version"])
    assert said["Requires-Python"] == project["requires-python"]
    assert set(said.get_all("Provides-Extra", [])) == set(project["optional-dependencies"])
    assert said.get_payload().strip() == (ROOT / "README.md").read_text().strip()  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_it_is_small_enough_to_be_downloaded(kind: str) -> None:
    assert the_only(kind).stat().st_size < MOST_MEGABYTES * 1e6


def test_nothing_else_was_built() -> None:
    assert len(list(DIST.iterdir())) == 2
