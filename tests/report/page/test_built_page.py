"""The built page of `melmill report`, without a browser; tests/browser opens it, and builds it again."""

import base64
import hashlib
import json
import re
from importlib.resources import files

from support.paths import ROOT

PAGE = (files("pipeline.report") / "page" / "index.html").read_text()
THIRD_PARTY = (files("pipeline.report") / "page" / "THIRD_PARTY.md").read_text()
LOCK = json.loads((ROOT / "pipeline/report/page/package-lock.json").read_text())["packages"]


def _only(pattern: str) -> str:
    (found,) = re.findall(pattern, PAGE, re.DOTALL)
    return str(found)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_lets_the_pages_own_script_and_style_run_and_no_other() -> None:
    policy = dict(
        each.split(" ", 1) for each in _only(r'<meta http-equiv="Content-Security-Policy" content="(.*?)">').split("; ")
    )
    script, style = _only("<script>(.*?)</script>"), _only("<style>(.*?)</style>")
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"{_digest(script)} 'strict-dynamic'"
    assert policy["style-src"] == _digest(style)
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == "melmill"
    assert policy["base-uri"] == policy["form-action"] == "'none'"


def test_the_report_has_one_place_in_the_page() -> None:
    assert PAGE.count(">REPORT<") == 1
    assert PAGE.index('<script type="application/json" id="report">REPORT</script>') < PAGE.index("<script>")
    assert PAGE.index('<meta charset="utf-8">') < 100


def test_the_page_names_no_address() -> None:
    """Namespaces are names, and nothing is loaded from them."""
    assert set(re.findall(r"https?://[\w./-]+", PAGE)) == {"http://www.w3.org/2000/svg"}


def test_the_page_is_small() -> None:
    assert len(PAGE.encode()) < 200_000


def _installed() -> dict[str, str]:
    """Libraries that the page may hold, with their versions: those that no tool alone needs."""
    own = {name.removeprefix("node_modules/"): about for name, about in LOCK.items() if name and not about.get("dev")}
    return {name: about["version"] for name, about in own.items()}


def test_each_library_in_the_page_is_listed_with_version_licence_and_size() -> None:
    listed = re.findall(
        r"^\| ([\w@/-]+) \| ([\d.]+) \| (MIT|ISC|BSD-3-Clause|Apache-2.0) \| (\d+) \|$", THIRD_PARTY, re.MULTILINE
    )
    assert {"uplot", "d3-scale-chromatic"} <= {name for name, *_ in listed}
    for name, version, _, size in listed:
        assert _installed()[name] == version
        assert re.search(rf"^## {re.escape(name)}\n\n.*(Copyright|copyright)", THIRD_PARTY, re.MULTILINE | re.DOTALL)
        assert 0 < int(size) < len(PAGE)


def test_every_package_that_builds_the_page_is_pinned_by_its_digest() -> None:
    assert all(about["integrity"].startswith("sha512-") for name, about in LOCK.items() if name)
    assert not any("://" in str(about.get("resolved", "")) for about in LOCK.values())
