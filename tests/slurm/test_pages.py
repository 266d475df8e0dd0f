"""The commands of the pages about SLURM, on a real one."""

import shutil
from pathlib import Path

import yaml
from support.corpora import assert_whole
from support.pages import console, shell
from support.slurm_daemons import CORPUS, Slurm


def test_the_commands_of_the_pages_run(slurm: Slurm, packed: Path, tmp_path: Path) -> None:
    """With the files that the pages say to copy, made small."""
    shutil.copytree(packed, tmp_path / "mels.zarr")
    for name in ("array.sh", "driver.sh"):
        shutil.copy(CORPUS.with_name(name), tmp_path)
    job = yaml.safe_load(CORPUS.read_text()) | {"vocoder": {"name": "griffin-lim"}}
    job["output"]["shard_seconds"] = 10
    job["cluster"] |= {"jobs": 2, "cores": 1, "memory": "1 GB", "interface": "lo"}
    (tmp_path / "corpus.yaml").write_text(yaml.safe_dump(job))
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job | {"cluster": {"kind": "synchronous"}}))
    lines = [*console("howto/slurm", "slurm"), *console("howto/array-jobs", "slurm")]
    assert len(lines) == 3
    for line in lines:
        shutil.rmtree(tmp_path / "audio", ignore_errors=True)
        done = shell(line, tmp_path)
        assert done.code == 0, f"{line}: {done.said}"
        assert_whole(tmp_path / "audio", 24)
