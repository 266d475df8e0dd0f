import json
from collections.abc import Callable
from pathlib import Path

import pytest
from corpora import rows, tiny_vocoder

from pipeline.audit import verify
from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.jobs import run

Build = Callable[..., JobConfig]


@pytest.fixture
def out(job: Build) -> Path:
    config = job()
    run(config)
    return Path(config.output.url)


def edit_row(out: Path, **changes: object) -> None:
    lines = (out / "manifest.jsonl").read_text().splitlines()
    lines[5] = json.dumps({**json.loads(lines[5]), **changes})
    (out / "manifest.jsonl").write_text("\n".join(lines) + "\n")


def first_tar(out: Path) -> Path:
    return out / rows(out)[0]["shard"]


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def first_commit(out: Path) -> Path:
    return sorted((out / "_melmill" / "commits").iterdir())[0]


def edit_manifest(out: Path, edit: Callable[[list[str]], list[str]]) -> None:
    path = out / "manifest.jsonl"
    path.write_text("".join(edit(path.read_text().splitlines(keepends=True))))


def cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:5000])


def spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_text('{"version": 1}')


DAMAGE: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "a bit of audio": (lambda out: flip(first_tar(out), rows(out)[0]["offset"] + 2000), 11, "its sha256 is"),
    "a bit of padding": (lambda out: flip(first_tar(out), -1), 11, "its sha256 is"),
    "a tar cut short": (lambda out: cut(first_tar(out)), 11, "holds 5000 bytes"),
    "a tar lost": (lambda out: first_tar(out).unlink(), 10, "it should hold"),
    "the manifest lost": (lambda out: (out / "manifest.jsonl").unlink(), 10, "run the job again"),
    "failures lost": (lambda out: (out / "failures.jsonl").unlink(), 10, "run the job again"),
    "a row lost": (lambda out: edit_manifest(out, lambda lines: lines[1:]), 11, "has no row"),
    "a row twice": (lambda out: edit_manifest(out, lambda lines: lines[:1] + lines), 11, "differs from the commit"),
    "rows in another order": (
        lambda out: edit_manifest(out, lambda lines: lines[1::-1] + lines[2:]),
        11,
        "its rows differ",
    ),
    "a row's digest": (lambda out: edit_row(out, pcm_sha256="0" * 64), 11, "PCM digest"),
    "a row's offset": (lambda out: edit_row(out, offset=0), 11, "does not decode"),
    "a row's key": (lambda out: edit_row(out, key="other"), 11, "differs from the commit record"),
    "a row that is no JSON": (lambda out: edit_manifest(out, lambda lines: ["{\n"]), 11, "line 1 cannot be read"),
    "a row's subtype": (lambda out: edit_row(out, subtype="PCM_8"), 11, "does not decode"),
    "a row's shard": (lambda out: edit_row(out, shard="data/000099-00000000.tar"), 10, "no commit record"),
    "a row's shard is a number": (lambda out: edit_row(out, shard=3), 10, "no commit record"),
    "a row's offset is a word": (lambda out: edit_row(out, offset="x"), 11, "does not decode"),
    "a row that leaves the output": (
        lambda out: edit_row(out, shard=rows(out)[5]["shard"] + "/../../x"),
        11,
        "no object",
    ),
    "a commit that is none": (lambda out: spoil(first_commit(out)), 11, "not a commit record"),
    "a commit lost": (lambda out: first_commit(out).unlink(), 10, "no commit record"),
    "a stranger among the tars": (lambda out: (out / "data" / "x.tar").write_text(""), 12, "no commit record names it"),
    "a stranger beside the manifest": (lambda out: (out / "notes.txt").write_text(""), 12, "no commit record names it"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_named(out: Path, name: str) -> None:
    assert verify(str(out)).exit_code == 0
    damage, code, words = DAMAGE[name]
    damage(out)
    report = verify(str(out))
    assert report.exit_code == code, report.findings
    assert any(words in finding.what for finding in report.findings)


def test_superseded_shards_are_not_unexpected(job: Build, out: Path, tmp_path: Path) -> None:
    run(job(vocoder__name=str(tiny_vocoder(tmp_path / "other.onnx", seed=1))))
    assert verify(str(out)).findings == ()


def test_a_folder_without_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no melmill output"):
        verify(str(tmp_path / "nowhere"))
