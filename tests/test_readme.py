"""Every command and example in the README runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from support.paths import PROMPTS, ROOT

from pipeline.config import JobConfig
from pipeline.melspec import PRESETS, mel_spec

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_example_runs() -> None:
    (example,) = blocks("python")
    subprocess.run([sys.executable, "-c", example], check=True)


def test_the_contract_in_yaml_is_one_and_every_preset_is_named() -> None:
    example, buckets = blocks("yaml")
    assert mel_spec(yaml.safe_load(example)).sample_rate == 22050
    assert JobConfig.build(yaml.safe_load(buckets)).output.options["secret"] == "$STORE_SECRET"
    section = README.partition("### Does the mel fit?")[2].partition("\n### ")[0]
    assert set(re.findall(r"`([a-z0-9-]+-\d+k(?:-\d+)?|coqui|espnet)`", section)) == PRESETS.keys()


def test_the_commands_run_in_order(tmp_path: Path) -> None:
    (commands,) = blocks("sh")
    (tmp_path / "recordings").mkdir()
    for path in sorted(PROMPTS.glob("*/*.flac"))[:2]:
        shutil.copy(path, tmp_path / "recordings")
    for line in commands.splitlines():
        command = line.partition("#")[0].split()
        assert command[0] == "melmill"
        program = Path(sys.executable).with_name("melmill")
        done = subprocess.run([program, *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_the_files_and_make_targets_it_names_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"(?:`|^    )make ([a-z0-9 -]+)(?:`|$)", README, re.MULTILINE)
    targets = [each for line in named for each in line.split()]
    assert set(targets) == {"demo", "help", "lint", "bench", "bench-cuda", "bench-quality"} | {
        f"test{lane}" for lane in ("", "-cuda", "-extras", "-faults", "-mutants", "-netns", "-peers", "-s3", "-slurm")
    }
    for target in targets:
        assert f"\n{target}:" in makefile, target
    for name in re.findall(r"`((?:configs|tests|\.ci)/[\w./]+)`", README):
        assert (ROOT / name).exists(), name


def test_its_figures_of_quality_are_those_that_the_bench_printed() -> None:
    section = README.partition("### What they sound like")[2].partition("\n### ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    printed = (ROOT / "tests" / "quality" / "quality.md").read_text().splitlines()
    assert len(lines) > 5
    assert set(lines) <= set(printed)
