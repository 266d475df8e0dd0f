"""Every command and example of the README and of docs/ runs, and reference pages have all that the code has."""

import importlib.util
import itertools
import json
import re
import runpy
import shutil
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
import zarr
from support import corpora, shard_readers
from support.corpora import rows
from support.pages import DOCS, LANES, PAGES, blocks, called, console, lane_of, masked, needs, shell, wanted_code
from support.paths import PROMPTS, ROOT
from tools.bench import table as bench
from typer.testing import CliRunner

import pipeline
from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.melspec import mel_spec
from pipeline.workshop import installation

RECORDINGS = ["fr_CA_f_June/all-circuits-busy-now", "es_MX_f_Allison/tt-somethingwrong"]
"""Two short ones."""


def _tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", DOCS / "_ext" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tables"] = module
    spec.loader.exec_module(module)
    return module


tables = _tables()
RUNNING = [page for page in PAGES if any(block.language in ("sh", "python") for block in blocks(page))]


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "recordings"
    folder.mkdir()
    for name, voice in zip(("vm-sorry", "lo-siento"), RECORDINGS, strict=True):
        shutil.copy(PROMPTS / f"{voice}.flac", folder / f"{name}.flac")
    return folder


@pytest.fixture(scope="session")
def small_store(recordings: Path) -> Path:
    store = recordings.with_name("mels.zarr")
    assert called(f"melmill pack {recordings} {store} --mel hifigan-22k").code == 0
    return store


@pytest.fixture
def place(
    recordings: Path, small_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Makes a folder with what a page needs, and the current one."""

    def make(page: str) -> Path:
        for made in (tmp_path / "recordings", tmp_path / "mels.zarr"):
            shutil.rmtree(made, ignore_errors=True)
        if needs(page) == "recordings":
            shutil.copytree(recordings, tmp_path / "recordings")
        elif page == "README":  # where HiFi-GAN makes it, and so not two
            (tmp_path / "recordings").mkdir()
            shutil.copy(recordings / "vm-sorry.flac", tmp_path / "recordings")
        elif needs(page) == "store" or page == "reference/python":
            shutil.copytree(small_store, tmp_path / "mels.zarr")
        monkeypatch.chdir(tmp_path)
        if needs(page) == "output":
            shutil.copytree(small_store, tmp_path / "mels.zarr")
            assert called("melmill run --store mels.zarr --out audio --vocoder griffin-lim").code == 0
        return tmp_path

    return make


def run_line(page: str, line: str, folder: Path, first: bool) -> str:
    """Run a line of a block of commands; what it said.

    The first block of the README is processes of their own that start workers. Others are called in this process where
    a shell is not needed.
    """
    command = line.partition("  #")[0].strip()
    real = page == "README" and first
    done = called(command) if command.startswith("melmill ") and not real and not set("|<>") & set(command) else None
    done = done or shell(command, folder)
    assert done.code == wanted_code(line), f"{page}: {line}: exit code {done.code}: {done.said}"
    return done.said


@pytest.mark.parametrize("page", RUNNING)
def test_the_commands_and_examples_of_a_page_run_in_order(
    page: str, place: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_PATIENCE", 0.0001)  # how exactly a speed is measured makes no difference
    folder = place(page)
    said: list[str] = []
    for block in blocks(page):
        if block.language == "sh":
            if page == "README" and said:
                shutil.rmtree(folder / "mels.zarr")
                shutil.rmtree(folder / "audio")
            lines = [run_line(page, line, folder, not said) for line in block.body.splitlines()]
            said = [masked(text) for text in "\n".join(lines).split("\n")]
        elif block.language == "text" and block.follows:
            assert [line for line in block.body.splitlines() if masked(line) not in said] == [], (
                f"not what it prints: {said}"
            )
        elif block.language == "python" and lane_of(block) not in ("extras", "readers"):
            (folder / "example.py").write_text(block.body)
            with shard_readers.installed():
                runpy.run_path(str(folder / "example.py"), run_name="__main__")


def test_the_commands_with_extras_of_the_main_lane_run(place: Callable[[str], Path], tmp_path: Path) -> None:
    place("howto/audio-format")
    (even,) = console("howto/audio-format", "main")
    assert called(even).code == 0
    assert all(
        row["loudness"] == pytest.approx(-23, abs=0.5) or row["gain_db"] < 0 for row in rows(tmp_path / "audio-even")
    )


def test_the_commands_about_checkpoints_run(place: Callable[[str], Path], vocoder_path: Path, tmp_path: Path) -> None:
    """The checkpoint is a small HiFi-GAN with random weights, which does not sound like speech (exit code 4)."""
    place("howto/checkpoint")
    corpora.write_checkpoint(tmp_path)
    import_, check, run, import_onnx = console("howto/checkpoint", "main")
    for line, code in ((import_, 0), (check, 4), (run, 0)):
        done = called(line)
        assert done.code == code, done.said
    (tmp_path / "mine.onnx").unlink()
    theirs = onnx.load(vocoder_path)
    del theirs.metadata_props[:]  # melmill's card
    onnx.save(theirs, tmp_path / "theirs.onnx")
    done = called(import_onnx)
    assert done.code == 0, done.said


def test_examples_in_yaml_are_parts_of_a_job_or_mel_contracts() -> None:
    found = [(page, block) for page in PAGES for block in blocks(page) if block.language == "yaml"]
    assert len(found) > 3
    for page, block in found:
        values = yaml.safe_load(block.body)
        if block.note == "a mel contract":
            assert mel_spec(values).sample_rate, page
        else:
            assert JobConfig.build(values).input.store, page


def test_commands_that_do_not_run_here_are_spelt_right() -> None:
    """Of those that need a server, the command and its options are there."""
    for page in PAGES:
        for block in (block for block in blocks(page) if block.language == "console"):
            assert lane_of(block) in LANES, f"{page}: {block.note}"
            for line in block.body.splitlines():
                if not (found := re.search(r"melmill (?!-)(.*)", line)) or "$ pip" in line or "docker" in line:
                    continue
                words = found[1].split()
                name = " ".join(words[:2]) if words[0] in ("config", "vocoder") else words[0]
                known = {each for param in tables.commands()[name].params for each in param.opts}
                assert {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} <= known, line


# ---- reference pages are complete


def test_a_directive_fails_where_the_page_or_the_code_has_more() -> None:
    with pytest.raises(tables.MissingWordsError, match=r"not described: \['give_up_after'\]; not in the code: \['x'\]"):
        tables.job_key_table("quality", {"mel_distance": "", "max_failure_rate": "", "max_clipped_rate": "", "x": ""})


def test_every_job_key_command_preset_contract_field_error_and_event_is_in_the_reference() -> None:
    found: dict[str, set[str]] = {}
    for page in PAGES:
        for block in blocks(page):
            if block.language.startswith("{") and (name := block.language[1:-1]) in tables.DIRECTIVES:
                made = tables.directive(name, block.argument, block.body)
                assert made.count("\n| ") > 2 or name == "command"
                found.setdefault(name, set()).add(block.argument)
    assert found["job-keys"] == set(tables.job_keys())
    assert found["command"] == set(tables.commands())
    assert set(found) == set(tables.DIRECTIVES)


def test_configs_corpus_yaml_has_every_key_of_a_local_job_at_its_default() -> None:
    shipped = JobConfig.build(yaml.safe_load((ROOT / "configs" / "corpus.yaml").read_text()))
    plain = yaml.safe_load((ROOT / "configs" / "corpus.yaml").read_text())
    assert shipped == JobConfig.build({"input": {"store": "mels.zarr"}, "output": {"url": "audio"}})
    of_other_clusters = set(shipped.cluster.model_dump()) - set(plain["cluster"])
    for section, keys in tables.job_keys().items():
        if section != "cluster" and "." not in section:
            assert set(plain[section]) == set(keys), section
    readme = PAGES["reference/job-file"].read_text()
    for key in of_other_clusters:
        assert re.search(rf"^{key}: Kinds? `", readme, re.MULTILINE) or key in ("insecure",), key


def field_table(page: str, head: str) -> set[str]:
    """The names in the first column of the table with this head."""
    _, found, rest = PAGES[page].read_text().partition(f"| {head} |")
    assert found, head
    lines = itertools.takewhile(lambda line: line.startswith("|"), rest.splitlines()[2:])
    return {name for line in lines for name in re.findall(r"`([\w./<>-]+)`", line.split("|")[1])}


@pytest.fixture(scope="session")
def output(small_store: Path, vocoder_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run with an utterance that was quarantined, and with metrics."""
    folder = tmp_path_factory.mktemp("output")
    shutil.copytree(small_store, folder / "mels.zarr")
    mel: Any = zarr.open_group(folder / "mels.zarr")["mel"]
    mel[3, 5] = np.nan
    line = f"melmill run --store {folder}/mels.zarr --out {folder}/audio --vocoder {vocoder_path}"
    done = called(f"{line} --metrics {folder}/x.prom --set quality.max_failure_rate=1 --set output.sidecar=full")
    assert done.code == 3, done.said
    return folder / "audio"


def test_every_field_on_disk_is_in_the_reference(output: Path) -> None:
    (commit,) = (output / "_melmill" / "commits").iterdir()
    (tar,) = (output / "data").iterdir()
    (run,) = (output / "_melmill" / "runs").iterdir()
    job = json.loads((output / "job.json").read_text())
    with tarfile.open(tar) as shard:
        sidecar = json.load(shard.extractfile(shard.getnames()[1]))  # type: ignore[arg-type]
    for head, fields in {
        "field of a row": rows(output)[0],
        "field of a failure": rows(output, "failures.jsonl")[0],
        "field of `job.json`": job,
        "field of `counts`": job["counts"],
        "field of `index.json`": {*json.loads((output / "index.json").read_text()), "files"},
        "field of an entry": {"url", "nsamples", "filesize", "key", "file"},
        "field of a commit record": json.loads(commit.read_text()),
        "field of `published.json`": json.loads((output / "_melmill" / "published.json").read_text()),
        "field of the record of a run": json.loads(run.read_text()),
        "field of the JSON": sidecar,
    }.items():
        assert field_table("reference/files", head) == set(fields), head
    named = {name.partition("/")[0] for name in field_table("reference/files", "file in `_melmill/`")}
    assert {path.name for path in (output / "_melmill").iterdir()} <= named
    arrays = set(zarr.open_group(output.with_name("mels.zarr"), mode="r"))
    assert arrays <= field_table("reference/files", "array or attribute")


def test_every_field_of_the_status_and_every_gauge_is_in_the_reference(output: Path) -> None:
    status = pipeline.read_status(str(output)).to_dict()
    text = PAGES["reference/logs"].read_text()
    first, second = (part.partition("\n\n")[0] for part in text.split("| field | meaning |")[1:])
    assert set(re.findall(r"^\| `(\w+)`", first, re.MULTILINE)) == set(status)
    cells = [line.split("|")[1] for line in second.splitlines()[2:]]
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(status["run"])
    gauges = set(re.findall(r"^# HELP (\w+)", output.with_name("x.prom").read_text(), re.MULTILINE))
    assert field_table("reference/logs", "gauge") == gauges


def test_every_exit_code_is_in_the_readme() -> None:
    table = PAGES["README"].read_text().partition("<!-- exit codes -->")[2].partition("<!-- end")[0]
    codes = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in cell.split(",")}
    of_verify = sys.modules[pipeline.VerifyReport.__module__].EXIT_CODES.values()
    assert codes == {0, *(error.exit_code for error in tables.error_classes()), *of_verify}


def test_every_vocoder_and_every_extra_is_in_the_reference() -> None:
    listed = {each["name"] for each in json.loads(CliRunner().invoke(app, ["vocoder", "list", "--json"]).stdout)}
    assert field_table("reference/vocoders", "vocoder | takes | choose it because") == {*listed, "NAME.onnx"}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert field_table("reference/extras", "extra | for") == set(extras)


def test_python_reference_has_every_public_name() -> None:
    text = PAGES["reference/python"].read_text()
    assert set(re.findall(r"^\.\. (?:auto\w+|py:data):: (\w+)$", text, re.MULTILINE)) == set(pipeline.__all__)


def test_every_room_of_the_house_is_in_the_design() -> None:
    package = Path(pipeline.__file__).parent
    rooms = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    named = {name.strip("/").removesuffix(".py") for name in field_table("design", "room | what is in it")}
    assert named == rooms


# ---- the README, and what pages name


def test_no_page_reads_shards_by_a_glob() -> None:
    for name, path in PAGES.items():
        assert not re.search(r"data/\S*[*{]\S*\.tar|\bglob\b", path.read_text()), name


def test_the_readme_is_short() -> None:
    assert len(PAGES["README"].read_text().splitlines()) <= 160
    assert f"[{len(pipeline.PRESETS)} conventions are known by name]" in PAGES["README"].read_text()


def test_files_links_and_make_targets_that_pages_name_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for path in [*PAGES.values(), ROOT / "CONTRIBUTING.md"]:
        text = path.read_text()
        for target in re.findall(r"`make ([a-z0-9-]+)", text):
            assert f"\n{target}:" in makefile, f"{path.name}: make {target}"
        for name in re.findall(r"`((?:configs|tests|pipeline|docs|\.ci)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{path.name}: {name}"
        for link in re.findall(r"\]\((?!\w+:|#)([^)#]+)", text):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_figures_of_quality_are_those_that_the_bench_printed() -> None:
    sections = PAGES["explanation/vocoders"].read_text().split("\n## ")
    by_hand = ("Recorded and predicted mels", "Refinement of HiFi-GAN")  # they say how they were made
    of_the_bench = [each for each in sections if not each.startswith(by_hand)]
    lines = [line for each in of_the_bench for line in each.splitlines() if line.startswith("|")]
    assert len(lines) > 5
    assert set(lines) <= set((ROOT / "tests" / "tools" / "quality.md").read_text().splitlines())


def test_the_confusion_of_recorded_and_predicted_mels_is_the_one_that_was_printed() -> None:
    printed = (ROOT / "tests" / "tools" / "mel_kind_table.md").read_text().splitlines()
    table = [line for line in printed if line.startswith("|")]
    assert len(table) > 15
    assert "\n".join(table) in PAGES["explanation/vocoders"].read_text()


SPEEDS = json.loads((ROOT / "tests" / "tools" / "speed.json").read_text())


def kept(what: str, by: str = "native") -> Any:
    """A row of the kept bench."""
    (row,) = (row for row in bench.rows(SPEEDS) if row["what"] == what and row["by"] == by)
    return row


def test_speeds_are_those_of_the_kept_bench() -> None:
    table = (
        PAGES["explanation/speed"].read_text().partition("<!-- bench -->\n")[2].partition("<!-- end of bench -->")[0]
    )
    assert table.splitlines() == bench.table(SPEEDS)


def test_how_many_times_faster_a_vocoder_is_follows_from_the_kept_bench() -> None:
    (times,) = re.findall(r"It decodes (\d+) times faster than HiFi-GAN", PAGES["reference/vocoders"].read_text())
    assert int(times) == pytest.approx(np.median(kept("lift")["compared"]["x the speed of hifigan-universal"]), rel=0.1)
    (percent,) = re.findall(r"at (\d+) % of its speed", PAGES["reference/vocoders"].read_text())
    assert int(percent) == pytest.approx(100 * bench.median(kept("lift")) / bench.median(kept("lift-hq")), abs=5)


def test_hours_of_a_corpus_follow_from_the_speeds() -> None:
    text = PAGES["explanation/speed"].read_text()
    (card,) = re.findall(r"^\| `hifigan-universal`, whole run, one H100 \| ([\d.]+) ", text, re.MULTILINE)
    table = text.partition("<!-- end of speed -->")[0]
    vocoders = re.findall(r"^\| `([\w-]+)` \| ([\d |.]+)", table, re.MULTILINE)
    assert len(vocoders) == 2
    for vocoder, hours in vocoders:
        row = kept(f"{vocoder}, whole run, without its start")
        speed = row["audio_seconds"] / bench.median(row)
        one, four, sixteen, *on_card = (float(cell) for cell in hours.split("|") if cell.strip())
        assert (one, four, sixteen) == pytest.approx([100 / speed / cores for cores in (1, 4, 16)], rel=0.1)
        assert on_card in ([], [100 / float(card)])
