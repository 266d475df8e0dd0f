"""What Kubernetes is asked for, held against its published schemas, the operator's and dask-kubernetes' own spec."""

import collections
import importlib.resources
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import numpy as np
import pytest
import referencing
import yaml
import zarr
from dask_kubernetes.operator import make_cluster_spec
from support.corpora import assert_whole
from support.paths import CONFIGS

from pipeline.cluster.kubernetes import cluster_spec
from pipeline.config import KubernetesConfig, load_job
from pipeline.errors import UtteranceError

FOLDER = CONFIGS / "kubernetes"
MANIFESTS = sorted(path for path in FOLDER.glob("*.yaml") if "kind: " in path.read_text() and path.stem != "corpus")
VERSIONS = ["1.31", "1.34"]
CONFIG = KubernetesConfig(image="melmill:1", workers=3, threads_per_worker=2, memory="2 GiB")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_manifest_is_what_kubernetes_publishes(path: Path, version: str) -> None:
    manifest = yaml.safe_load(path.read_text())
    kubernetes_validate.validate(manifest, version, strict=True)
    manifest["spec"]["nothing_like_it"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="nothing_like_it"):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_all_manifests_are_there() -> None:
    assert [path.stem for path in MANIFESTS] == ["cron-job", "indexed-job", "job", "network-policy"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_pods_of_a_cluster_are_what_kubernetes_publishes(version: str) -> None:
    spec = cluster_spec(CONFIG, "melmill-1")["spec"]
    for part in ("scheduler", "worker"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": part}, "spec": spec[part]["spec"]}
        kubernetes_validate.validate(pod, version, strict=True)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "it"}, "spec": spec["scheduler"]["service"]}
    kubernetes_validate.validate(service, version, strict=True)


def retrieved(address: str) -> referencing.Resource[Any]:
    """A file of the operator's; what Kubernetes publishes is held against that elsewhere, and anything here."""
    package, _, name = address.removeprefix("python://").partition("/")
    if package != "dask_kubernetes":
        return referencing.Resource.opaque({"definitions": collections.defaultdict(dict)})
    text = importlib.resources.files(package).joinpath(name).read_text()
    return referencing.Resource.opaque(yaml.safe_load(text))


def test_the_cluster_is_what_the_operator_publishes() -> None:
    customs = "dask_kubernetes/operator/customresources/templates.yaml#/definitions/dask.k8s.api.v1.DaskCluster"
    registry: referencing.Registry[Any] = referencing.Registry(retrieve=retrieved)
    validator = jsonschema.Draft202012Validator({"$ref": f"python://{customs}"}, registry=registry)
    spec = cluster_spec(CONFIG, "melmill-1")
    validator.validate(spec)
    assert not validator.is_valid({**spec, "spec": {**spec["spec"], "worker": {"replicas": 3}}})


def shape(value: Any) -> Any:
    """Keys and names, without what is ours to choose."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [shape(each) for each in value if isinstance(each, dict)]
    return type(value)


def test_the_cluster_has_all_that_dask_kubernetes_own_spec_has() -> None:
    """What its controller looks for: names of ports, labels of the service, the probe."""
    ours, theirs = cluster_spec(CONFIG, "melmill-1"), make_cluster_spec("melmill-1", image="melmill:1", n_workers=3)
    assert ours["spec"]["scheduler"]["service"] == theirs["spec"]["scheduler"]["service"]
    assert ours["spec"]["worker"]["replicas"] == theirs["spec"]["worker"]["replicas"] == 3
    (our_scheduler,), (their_scheduler,) = (spec["spec"]["scheduler"]["spec"]["containers"] for spec in (ours, theirs))
    assert our_scheduler["ports"] == their_scheduler["ports"]
    assert our_scheduler["livenessProbe"] == their_scheduler["livenessProbe"]
    assert our_scheduler["name"] == their_scheduler["name"]
    assert set(shape(their_scheduler)) <= set(our_scheduler)
    (worker,) = ours["spec"]["worker"]["spec"]["containers"]
    assert worker["name"] == theirs["spec"]["worker"]["spec"]["containers"][0]["name"]
    entrypoint = [
        line for line in (CONFIGS / "Containerfile").read_text().splitlines() if line.startswith("ENTRYPOINT")
    ]
    assert entrypoint == ['ENTRYPOINT ["melmill"]']  # so `args` alone would be arguments of melmill's
    assert (our_scheduler["command"], our_scheduler["args"][0]) == (["dask"], "scheduler")
    assert (worker["command"], worker["args"][0]) == (["dask"], "worker")
    assert "$(DASK_WORKER_NAME)" in worker["args"]
    assert worker["resources"]["limits"] == {"memory": "2Gi"}


@pytest.mark.parametrize("part", ["scheduler", "worker"])
def test_dask_knows_the_arguments_of_the_pods(part: str) -> None:
    (pod,) = cluster_spec(CONFIG, "melmill-1")["spec"][part]["spec"]["containers"]
    command = [sys.executable, "-m", *pod["command"], *pod["args"]]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"dask {part}" in done.stdout
    flags = {word for word in pod["args"] if word.startswith("--")}
    assert flags <= set(re.findall(r"--[a-z-]+", done.stdout))


def container(path: Path) -> dict[str, Any]:
    spec = yaml.safe_load(path.read_text())["spec"]
    (found,) = spec.get("jobTemplate", {}).get("spec", spec)["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("name", ["job", "indexed-job", "cron-job"])
def test_the_commands_of_the_jobs_make_a_corpus(name: str, store: Path, vocoder_path: Path, tmp_path: Path) -> None:
    """As the kubelet starts them, one pod after the other, with the volume's folder in place of /data."""
    path = FOLDER / f"{name}.yaml"
    completions = yaml.safe_load(path.read_text())["spec"].get("completions", 1)
    small = [f"--vocoder={vocoder_path}", "--set=cluster.kind=synchronous", "--set=output.shard_seconds=10"]
    for index in range(completions if name != "indexed-job" else 2):
        arguments = [
            re.sub(r"\$\(JOB_COMPLETION_INDEX\)", str(index), each).replace("/data/", f"{tmp_path}/")
            for each in container(path)["args"]
        ]
        done = subprocess.run([sys.executable, "-m", "pipeline", *arguments, *small], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert_whole(tmp_path / "audio", 24)
    if name == "indexed-job":
        assert container(path)["args"][-1] == f"--part=$(JOB_COMPLETION_INDEX)/{completions}"


def test_one_bad_utterance_fails_the_job_of_one_night_and_not_those_of_later_ones(
    store: Path, vocoder_path: Path, tmp_path: Path
) -> None:
    group = zarr.open_group(str(store))
    group["mel"][:5] = np.full_like(group["mel"][:5], np.nan)
    arguments = [each.replace("/data/", f"{tmp_path}/") for each in container(FOLDER / "cron-job.yaml")["args"]]
    small = ["cluster.kind=synchronous", "output.shard_seconds=10", "quality.max_failure_rate=0.5"]
    arguments += [f"--vocoder={vocoder_path}", *(f"--set={each}" for each in small)]
    nights = [subprocess.run([sys.executable, "-m", "pipeline", *arguments]).returncode for _ in range(2)]
    assert nights == [UtteranceError.exit_code, 0]


def test_the_job_file_is_one() -> None:
    cluster = load_job(FOLDER / "corpus.yaml").cluster
    assert (cluster.kind, cluster.insecure, cluster.workers) == ("kubernetes", True, 16)
    cluster_spec(cluster, "melmill-1")
