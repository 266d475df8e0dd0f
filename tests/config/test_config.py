import subprocess
import sys
from pathlib import Path

import dask.system
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import CONFIGS

from pipeline.config import JobConfig, SlurmConfig, load_job
from pipeline.config.cores import usable_cores
from pipeline.errors import ConfigError
from pipeline.melspec import PRESETS
from pipeline.output.parquet_manifest import check_installed
from pipeline.redaction import public_url, redacted

BASE = {"input": {"store": "mels.zarr"}, "output": {"url": "audio"}}
FLAGS = {"input.store": "s.zarr", "output.url": "o"}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_job_file_is_valid(path: Path) -> None:
    assert load_job(path, {}).input.store


def test_flags_go_over_the_file_and_set_over_the_flags(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("input: {store: a}\noutput: {url: o, shard_seconds: 10, codec: wav}\n")
    job = load_job(path, {"input.store": "b", "output.codec": "flac"}, ["input.store=c", "output.shard_seconds=7.5"])
    assert (job.input.store, job.output.codec, job.output.shard_seconds) == ("c", "flac", 7.5)


def test_the_defaults_are_those_of_the_design() -> None:
    job = JobConfig.build(BASE)
    assert (job.vocoder.name, job.vocoder.window) == ("hifigan-universal", None)
    assert (job.output.container, job.output.codec, job.output.subtype) == ("tar", "flac", "PCM_16")
    assert (job.output.shard_seconds, job.cluster.kind, job.cluster.threads_per_worker) == (None, "local", 1)
    assert (job.quality.mel_distance, job.quality.max_failure_rate) == (True, 0.01)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "output.shard_second=60",
            "output.shard_second: unknown key (did you mean shard_seconds?); the keys",
        ),
        (
            "outputs.url=x",
            "outputs: unknown key (did you mean output?); the keys here are input",
        ),
        ("output.codec=mp3", "output.codec: it is 'mp3', and must be flac or wav"),
        ("output.shard_seconds=-1", "output.shard_seconds: Input should be greater than 0 (it is -1)"),
        ("output.shard_seconds=.inf", "output.shard_seconds"),
        ("output.subtype=FLOAT", "FLAC cannot hold floats"),
        ("quality.max_failure_rate=2", "quality.max_failure_rate"),
        ("cluster.kind=dask", "cluster.address: kind dask needs it, for example address: tcp://host:8786"),
        (
            "cluster.kind=slurm",
            "cluster.jobs: kind slurm needs it, for example jobs: 8; cluster.walltime: kind slurm",
        ),
        (
            "cluster.kind=pbs",
            "cluster.kind: it is 'pbs', and must be local or synchronous or dask or slurm or kubernetes",
        ),
        ("cluster.kind=null", "cluster"),
        ("cluster=3", "cluster"),
        (
            "cluster.address=tcp://host:8786",
            "kind dask has this key, and this job has kind local; the keys here are kind, w",
        ),
        (
            "cluster.memory=8 GB",
            "kinds slurm and kubernetes have this key, and this job has kind local; the keys here are",
        ),
        (
            "cluster.adress=x",
            "cluster.adress: unknown key (did you mean cluster.address?); the keys here are kind, workers",
        ),
        (
            "cluster={kind: slurm, adress: x}",
            "cluster.adress: unknown key (did you mean cluster.address?); the keys here are",
        ),
        ("cluster={kind: slurm, memory: 8}", "cluster.memory: Input should be a valid string"),
        ("cluster={kind: slurm, walltime: one hour}", "cluster.walltime: a walltime is written [DAYS-]HH:MM:SS"),
        ("cluster={kind: slurm, walltime: 59}", "cluster.walltime: Input should be greater than or equal to 60"),
        ('cluster={kind: slurm, directives: ["--gres=gpu:1\\nrm"]}', "cluster.directives.0"),
        ("cluster={kind: slurm, partition: a b}", "cluster.partition"),
        (
            "cluster={kind: dask, security: {keys: x}}",
            "cluster.security.keys: unknown key (did you mean key?); the keys here are ca, cert, key",
        ),
        ("cluster={kind: slurm, jobs: 1, memory: 1 GB, walltime: 60, cores: 3, threads_per_worker: 2}", "multiple of"),
        ("cluster={kind: slurm, jobs: 1, memory: 1 GB, walltime: 60, workers: 4}", "workers (4) is not for kind"),
        ("cluster={kind: kubernetes, image: a, memory: 1 GiB}", "kind kubernetes needs it, for example workers: 8"),
        ("cluster.workers=0", "cluster.workers"),
        ("vocoder.window=4", "vocoder.window"),
        ("vocoder.batch=0", "vocoder.batch: Input should be greater than or equal to 1 (it is 0)"),
        ("vocoder.device=gpu", "vocoder.device: it is 'gpu', and must be cpu or cuda or cuda-or-cpu"),
        ("vocoder={runtime: native, device: cuda}", "the native kernels run on the CPU; choose runtime: auto"),
        (
            "vocoder.runtime=openvino",
            "vocoder.runtime: melmill no longer uses OpenVINO: its own kernels (native) are more than twice as fast. "
            "Set runtime to auto",
        ),
        ("vocoder.precision=bfloat16", "vocoder.precision: it is 'bfloat16', and must be float32 or mixed"),
        (
            "vocoder={runtime: onnxruntime, precision: mixed}",
            "precision: mixed needs the native kernels on the CPU, or a GPU; choose runtime: auto and device: cpu, or "
            "device: cuda, or precision: float32 (runtime is onnxruntime, device cpu)",
        ),
        ("vocoder={device: cuda-or-cpu, precision: mixed}", "(runtime is auto, device cuda-or-cpu)"),
        ("vocoder.runtime=onnx", "vocoder.runtime: it is 'onnx', and must be auto or native or onnxruntime"),
        ("output.sample_rate=7999", "output.sample_rate: Input should be greater than or equal to 8000"),
        ("output.sample_rate=96000", "output.sample_rate: Input should be less than or equal to 48000"),
        ("output.loudness=-3", "output.loudness: Input should be less than or equal to -5 (it is -3)"),
        ("output.true_peak=1", "output.true_peak: Input should be less than or equal to 0 (it is 1)"),
        ("nonsense", "must look like output.shard_seconds=60"),
        ("output.url.x=1", "not a section"),
        ("output.url=[", "is not valid YAML"),
        ("input.mel=" + "[" * 800 + "]" * 800, "is nested too deeply"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(setting: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_job(None, FLAGS, [setting])
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a list\n", "must be a mapping"),
        ("input: {store: x}\n", "names no output.url"),
        ("output: {url: x}\n", "names no input.store"),
        (
            "input: {store: a}\noutput: {url: x, codec: wav}\noutput: {url: y}\n",
            r"the key output stands twice \(line 3, column 1\)",
        ),
        ("input: {store: a, store: b}\noutput: {url: x}\n", "the key store stands twice"),
        ("input: " + "[" * 800, "is nested too deeply"),
        ("input: " + "[" * 800 + "]" * 800 + "\noutput: {url: x}\n", "is nested too deeply"),
        ("input: store\noutput: {url: x}\n", "input: it must be a mapping of keys to values"),
        ("input: {store: !!python/object/apply:os.getcwd []}\noutput: {url: x}\n", "is not valid YAML"),
        ("input: {store: x, mel: {sample_rate: 1}}\noutput: {url: x}\n", "mel contract: missing key"),
    ],
)
def test_a_wrong_job_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_job(path, {}).input.stated_spec()


def test_a_job_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no job file .*nowhere\.yaml"):
        load_job(tmp_path / "nowhere.yaml", {})


def test_a_mel_contract_is_a_preset_or_every_field_of_one() -> None:
    spec = PRESETS["hifigan-22k"]
    for mel in ("hifigan-22k", spec.to_dict()):
        assert JobConfig.build({**BASE, "input": {"store": "x", "mel": mel}}).input.stated_spec() == spec
    assert JobConfig.build(BASE).input.stated_spec() is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("04:00:00", 14400), ("1-00:00:30", 86430), ("'0:01:00'", 60), ("10:00:00", 36000), ("90", 90)],
)
def test_a_walltime_is_what_slurm_and_yaml_take_it_for(written: str, seconds: int) -> None:
    values = {**BASE, "cluster": {"kind": "slurm", "jobs": 1, "memory": "1 GB"}}
    cluster = load_job(values, {}, [f"cluster.walltime={written}"]).cluster
    assert isinstance(cluster, SlurmConfig)
    assert (cluster.walltime, cluster.processes, cluster.worker_count()) == (seconds, 1, 1)


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("s3://me:secret@host/mels.zarr", "s3://host/mels.zarr"),
        ("s3://me:sec@ret@host/mels.zarr", "s3://host/mels.zarr"),
        ("https://host/m.zarr?X-Amz-Date=1&X-Amz-Signature=secret", "https://host/m.zarr?..."),
        ("https://host/a b.zarr?sig=secret", "https://host/a b.zarr?..."),
        ("https://host/m.zarr?secret", "https://host/m.zarr?..."),
        ("simplecache::https://me:secret@host/x", "simplecache::https://host/x"),
        ("zip://m.zarr::https://me:secret@host/x.zip?token=secret", "zip://m.zarr::https://host/x.zip?..."),
        ("abfs://mels@account.dfs.core.windows.net/m.zarr", "abfs://mels@account.dfs.core.windows.net/m.zarr"),
        ("abfss://mels:secret@account.dfs.core.windows.net/m", "abfss://account.dfs.core.windows.net/m"),
        ("/data/mel@home.zarr", "/data/mel@home.zarr"),
        ("s3://bucket/mel@home.zarr", "s3://bucket/mel@home.zarr"),
    ],
)
def test_secrets_in_a_stores_url_are_not_written_down(url: str, public: str) -> None:
    assert JobConfig.build({**BASE, "input": {"store": url}}).input.public_store == public
    assert public_url(public) == public


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("password: a;b,c", "password: ..."),
        ("(secret=a;b,c)", "(secret=...)"),
        (r"{'password': 'a\'b;c', 'anon': False}", "{'password': ..., 'anon': False}"),
        ("private_key: abc", "private_key: ..."),
        ("X-API-Key: abc", "X-API-Key: ..."),
        ("{'credential': 'abc'}", "{'credential': ...}"),
        ("SSECustomerKey=abc", "SSECustomerKey=..."),
        ("sas: abc and key: utt-1", "sas: abc and key: utt-1"),
        ("NoCredentialsError: Unable to locate credentials", "NoCredentialsError: Unable to locate credentials"),
        ("NoSuchKey: The specified key does not exist", "NoSuchKey: The specified key does not exist"),
    ],
)
def test_values_of_options_that_may_be_secret_are_not_shown(said: str, shown: str) -> None:
    assert redacted(said) == shown
    assert redacted(shown) == shown


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_no_value_is_taken_for_a_job_unless_it_is_one(values: object) -> None:
    try:
        JobConfig.build(values if isinstance(values, dict) else {"input": values})
    except ConfigError:
        return
    raise AssertionError(values)


def test_a_mel_contract_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("preset: pwg-24k\nnormalization: {mean: -2.2, scale: 0.75}\n")
    flags = {"input.store": "mels.zarr", "output.url": "audio"}
    job = load_job(None, flags, [f"input.mel={tmp_path / 'mine.yaml'}"])
    assert job.input.mel == {"preset": "pwg-24k", "normalization": {"mean": -2.2, "scale": 0.75}}
    with pytest.raises(ConfigError, match=r"there is no mel contract .*none\.yaml"):
        load_job(None, flags, [f"input.mel={tmp_path / 'none.yaml'}"])


def test_auto_is_a_worker_for_each_core_that_may_be_used() -> None:
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from pipeline.config import LocalConfig; print(LocalConfig().worker_count())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu.max": "900000 100000\n"}, 4),
        ({"cpuacct,cpu/cpu.cfs_quota_us": "100000\n", "cpuacct,cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 4),
        ({}, 4),
    ],
)
def test_the_quota_of_a_container_limits_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3})
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


def test_the_cores_are_those_that_dask_finds() -> None:
    assert usable_cores() == dask.system.cpu_count()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://10.0.0.1:8786", "has no TLS"),
        ("10.0.0.1:8786", "has no TLS"),
        ("nowhere", "must look like tcp://host:8786"),
        ("http://127.0.0.1:8786", "must be tcp:// or tls://"),
        ("tcp://127.0.0.1:port", "must look like tcp://host:8786"),
        ("tcp://[::1", r"address 'tcp://\[::1' must look like tcp://host:8786"),
    ],
)
def test_a_scheduler_address_that_is_wrong_or_unsafe_is_refused_at_once(address: str, words: str) -> None:
    values = {"input": {"store": "mels.zarr"}, "output": {"url": "out"}}
    with pytest.raises(ConfigError, match=words):
        JobConfig.build(values | {"cluster": {"kind": "dask", "address": address}})
    safe = {"kind": "dask", "address": "10.0.0.1:8786", "insecure": True}
    assert JobConfig.build(values | {"cluster": safe}).cluster.scheduler == "tcp://10.0.0.1:8786"


@pytest.mark.parametrize(
    ("cluster", "shards"),
    [
        ({"workers": 3, "threads_per_worker": 2}, 6),
        ({"kind": "slurm", "jobs": 9, "memory": "8 GB", "walltime": 60, "cores": 8, "threads_per_worker": 2}, 8),
        ({"kind": "synchronous", "threads_per_worker": 4}, 1),
        ({"kind": "dask", "address": "tcp://127.0.0.1:9"}, 1),
    ],
)
def test_who_shares_a_card_is_known_where_the_workers_are_ours(cluster: dict[str, object], shards: int) -> None:
    assert JobConfig.build({**BASE, "cluster": cluster}).cluster.at_once() == shards


ALL_KEYS = {
    "kind": "local", "address": None, "security": None, "workers": "auto", "threads_per_worker": 1, "timeout": 60.0,
    "patience": None, "shard_timeout": None, "grace": 30.0, "insecure": False, "jobs": None, "cores": None,
    "memory": None, "walltime": None, "partition": None, "account": None, "directives": None, "interface": None,
    "folder": None, "image": None, "namespace": None,
}  # fmt: skip
"""The section `cluster` of a job.json that was written when one class had the keys of all kinds, at their defaults."""


@pytest.mark.parametrize(
    "of_kind",
    [
        {"kind": "local", "workers": 3},
        {"kind": "synchronous"},
        {"kind": "dask", "address": "tcp://127.0.0.1:8786"},
        {"kind": "slurm", "jobs": 2, "cores": 4, "memory": "8 GB", "walltime": 14400, "directives": ["--gres=gpu:1"]},
        {"kind": "kubernetes", "image": "melmill:1", "memory": "4 GiB", "workers": 8, "patience": 60.0},
    ],
    ids=lambda of_kind: of_kind["kind"],
)
def test_a_job_that_was_written_down_with_the_keys_of_all_kinds_is_read(of_kind: dict[str, object]) -> None:
    cluster = load_job({**BASE, "cluster": {**ALL_KEYS, **of_kind}}).cluster
    written = cluster.model_dump(mode="json")
    expected = {"memory_limit": None, **ALL_KEYS, **of_kind}
    assert written == {key: value for key, value in expected.items() if key in written}
    assert written.items() >= of_kind.items()
    assert load_job({**BASE, "cluster": written}).cluster == cluster


def test_yaml_is_that_of_version_1_2(tmp_path: Path) -> None:
    """`10:00:00` is a text and not a number to the base of 60, `1e-10` a number and not a text."""
    path = tmp_path / "job.yaml"
    path.write_text(
        "input: {store: x, mel: {preset: pwg-24k, floor: 1e-10}}\noutput: {url: 10:00:00, options: {on: yes}}\n"
    )
    job = load_job(path)
    assert (job.input.mel, job.output.url) == ({"preset": "pwg-24k", "floor": 1e-10}, "10:00:00")
    assert job.output.options == {"on": "yes"}


@pytest.mark.parametrize("text", ["a: 2001-99-99", "a: !!int x", "a: &b [*b, *c]", "? {a: b}\n: c", "\x01", "a: *b"])
def test_yaml_that_is_none_is_a_wrong_job_and_no_defect(tmp_path: Path, text: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"job\.yaml"):
        load_job(path)


def test_a_manifest_always_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"a manifest is \[jsonl\] or \[jsonl, parquet\], not \[parquet\]"):
        load_job({"input": {"store": "s"}, "output": {"url": "o", "manifest": ["parquet"]}})
    given = load_job({"input": {"store": "s"}, "output": {"url": "o"}}, settings=["output.manifest=[jsonl, parquet]"])
    assert given.output.manifest == ("jsonl", "parquet")


def test_without_pyarrow_a_manifest_of_columns_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'melmill\[parquet\]'"):
        check_installed()
