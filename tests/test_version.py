"""pyproject.toml states the version; all that names it names this one."""

import importlib.metadata
import re
import tomllib

import yaml
from support.pages import DOCS, called
from support.paths import CONFIGS, ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
RELEASE = re.compile(r"^## \[(\d\S*)\]", re.MULTILINE)


def test_what_is_installed_has_the_version_of_this_checkout() -> None:
    assert importlib.metadata.version("melmill") == VERSION
    assert called("melmill --version").said == f"melmill {VERSION}\n"


def test_it_can_be_cited_in_this_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION


def test_the_changelog_is_about_this_version_and_its_releases_follow_each_other() -> None:
    """The form of Keep a Changelog: the newest first, and in it kinds of changes that people know."""
    text = (ROOT / "CHANGELOG.md").read_text()
    releases = RELEASE.findall(text)
    assert releases[0] == VERSION
    assert releases == sorted(releases, key=lambda each: [int(part) for part in each.split(".")], reverse=True)
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for release in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        found = re.findall(r"^### (.*)", release, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found]


def test_images_and_wheels_that_are_named_have_this_version() -> None:
    places = (*CONFIGS.rglob("*"), *DOCS.rglob("*.md"), *(ROOT / "pipeline").rglob("*.py"))
    files = [ROOT / "README.md", *(path for path in places if path.is_file())]
    named = [found for path in files for found in re.findall(r"melmill[:-](\d[\w.]*\d)", path.read_text())]
    assert len(named) > 5
    assert set(named) == {VERSION}
