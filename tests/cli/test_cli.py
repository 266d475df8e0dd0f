"""The built command, as a shell sees it: what it prints, and its exit codes. Each command is a process of its own
somewhere here, and where that matters; elsewhere it is called in this process, which saves a second of each."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import zarr
from support.corpora import assert_whole, digests, every_byte, rows
from support.in_process import melmill as called
from support.kernels import BFLOAT16_TARGETS
from support.paths import PROMPTS
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.output.layout import COMMITS
from pipeline.output.records import sealed, unsealed
from pipeline.storage import LocalStorage

COMMAND = Path(sys.executable).with_name("melmill")


def melmill(*arguments: object, code: int = 0) -> str:
    """Standard output and error of a command that must end with this exit code."""
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def run_arguments(store: Path, vocoder_path: Path, tmp_path: Path) -> list[object]:
    return [
        "--store", store, "--out", tmp_path / "audio", "--vocoder", vocoder_path, "--scheduler", "synchronous",
        "--set", "output.shard_seconds=10",
    ]  # fmt: skip


def test_from_audio_to_verified_shards(tmp_path: Path, vocoder_path: Path) -> None:
    store, out = tmp_path / "mels.zarr", tmp_path / "audio"
    assert "packed 24 utterances, 1.2 min" in melmill("pack", PROMPTS, store, "--mel", "hifigan-22k")
    assert "contract   hifigan-22k" in called("inspect", store)
    common = ["--store", store, "--out", out, "--vocoder", vocoder_path]
    assert "to make   24 utterances, 1.2 min, 1 shard" in called("plan", *common)
    assert not out.exists()
    said = called("run", *common, "--workers", 1)
    assert f"{out}/manifest.jsonl lists 24 utterances, 1.2 min" in said
    assert "mel_distance" in said
    assert "the audio does not match its mels: the weights may be untrained" in said
    before = every_byte(out)
    assert "nothing to do" in called("run", *common)
    assert every_byte(out) == before
    assert "is whole: 24 utterances" in called("verify", out)


def test_metadata_of_a_manifest_and_of_a_list_reaches_the_output(tmp_path: Path, vocoder_path: Path) -> None:
    shutil.copytree(PROMPTS / "it_IT_m_Carlo", tmp_path / "it_IT_m_Carlo")
    paths = sorted(tmp_path.glob("it_IT*/*.flac"))[:2]
    lines = [{"audio_filepath": str(path), "text": path.stem, "lang": "it"} for path in paths]
    lines.append({"audio_filepath": "gone.wav"})
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    keys = [str(path.relative_to(tmp_path).with_suffix("")) for path in paths]
    (tmp_path / "speakers.csv").write_text(f"key,speaker\n{keys[0]},carlo\nnobody,x\n")
    store, out = tmp_path / "mels.zarr", tmp_path / "audio"
    arguments = [tmp_path / "manifest.jsonl", store, "--mel", "hifigan-22k", "--meta", tmp_path / "speakers.csv"]
    said = called("pack", *arguments, "--workers", 1, code=3)
    assert "packed 2 utterances" in said
    assert f"1 utterance has no metadata:\n  {keys[1]}\n" in said
    assert "1 key of the metadata belongs to no utterance:\n  nobody\n" in said
    assert "1 source could not be packed and is not in the store:\n  line 3: there is no file" in said
    listed = tmp_path / "mels.zarr.failures.jsonl"
    assert json.loads(listed.read_text())["path"] == "line 3"
    again = [*arguments[:1], tmp_path / "again.zarr", *arguments[2:], "--workers", 1, "--json"]
    (line,) = [line for line in called("pack", *again, code=3).splitlines() if line.startswith("{")]
    found = json.loads(line)
    assert (found["utterances"], found["failures"]) == (2, [json.loads(listed.read_text())])
    called("run", "--store", store, "--out", out, "--vocoder", vocoder_path, "--scheduler", "synchronous")
    metas = {row["key"]: row["meta"] for row in rows(out)}
    first = {"text": paths[0].stem, "language": "it", "speaker": "carlo"}
    assert metas == {keys[0]: first, keys[1]: {"text": paths[1].stem, "language": "it", "speaker": ""}}
    with tarfile.open(out / rows(out)[0]["shard"]) as tar:
        beside = [json.load(tar.extractfile(member)) for member in tar if member.name.endswith(".json")]  # type: ignore[arg-type]
    assert {each["key"]: each["meta"] for each in beside} == metas


def test_json_is_one_document(run_arguments: list[object], store: Path, tmp_path: Path) -> None:
    assert json.loads(melmill("inspect", store, "--json"))["utterances"] == 24
    assert len(json.loads(called("plan", *run_arguments, "--json"))["todo"]) > 3
    called("run", *run_arguments)
    report = json.loads(called("verify", tmp_path / "audio", "--json"))
    assert (report["utterances"], report["exit_code"]) == (24, 0)


def test_log_json_is_a_line_an_event(run_arguments: list[object]) -> None:
    lines = [line for line in melmill("run", *run_arguments, "--log-json").splitlines() if line.startswith("{")]
    names = [json.loads(line)["event"] for line in lines]
    assert (names[0], names[-1]) == ("RunStarted", "RunFinished")
    (again,) = [json.loads(line) for line in called("run", *run_arguments, "--log-json").splitlines() if line[0] == "{"]
    assert (again["event"], again["run_id"], again["utterances"], again["made_seconds"]) == ("RunFinished", "", 24, 0)
    failed = called("run", *run_arguments, "--set", "input.mel=tacotron2-22k", "--log-json", code=4)
    assert json.loads(failed.splitlines()[-1])["exit_code"] == 4


def test_what_a_job_file_says_of_its_cluster_holds_without_one_too(run_arguments: list[object], tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("cluster: {kind: dask, address: 'tcp://127.0.0.1:9', grace: 7}\n")
    called("run", job, *run_arguments)
    cluster = json.loads((tmp_path / "audio" / "job.json").read_text())["job"]["cluster"]
    assert (cluster["kind"], cluster["grace"]) == ("synchronous", 7)


def test_a_job_file_runs(run_arguments: list[object], tmp_path: Path) -> None:
    settings = dict(zip(run_arguments[::2], map(str, run_arguments[1::2]), strict=True))
    job = tmp_path / "job.yaml"
    job.write_text(
        f"input: {{store: {settings['--store']}}}\nvocoder: {{name: {settings['--vocoder']}}}\n"
        f"output: {{url: {settings['--out']}, codec: wav}}\ncluster: {{kind: synchronous}}\n"
    )
    called("run", job, "--subtype", "FLOAT")
    with tarfile.open(tmp_path / "audio" / rows(tmp_path / "audio")[0]["shard"]) as tar:
        assert {member.name.rpartition(".")[2] for member in tar} == {"wav", "json"}


def test_quarantined_utterances_give_exit_code_3_again_and_again(run_arguments: list[object], store: Path) -> None:
    group = zarr.open_group(str(store))
    mel = group["mel"][:5]
    mel[3] = np.nan
    group["mel"][:5] = mel
    assert "1 utterance failed" in melmill("run", *run_arguments, "--set", "quality.max_failure_rate=0.5", code=3)
    assert "nothing to do" in called("run", *run_arguments, "--set", "quality.max_failure_rate=0.5", code=3)
    assert "more than quality.max_failure_rate, 1.0%" in called("run", *run_arguments, code=7)


def test_retry_makes_the_quarantined_again_with_the_job_that_made_the_output(
    run_arguments: list[object], store: Path, tmp_path: Path
) -> None:
    group = zarr.open_group(str(store))
    good = group["mel"][:5]
    group["mel"][:5] = np.full_like(good, np.nan)
    called("run", *run_arguments, "--set", "quality.max_failure_rate=0.5", code=3)
    assert "1 of them quarantined (melmill retry" in called("plan", *run_arguments)
    assert "1 utterance failed" in called("retry", tmp_path / "audio", code=3)  # still, and tried all the same
    made = digests(tmp_path / "audio")
    group["mel"][:5] = good
    assert "24 utterances" in called("retry", tmp_path / "audio")
    assert digests(tmp_path / "audio").items() > made.items()
    assert_whole(tmp_path / "audio", 24)
    assert "nothing to do" in called("retry", tmp_path / "audio")
    assert "nothing to do" in called("run", *run_arguments)


def test_a_flag_overrides_the_kind_of_cluster_of_the_job_that_made_the_output(
    run_arguments: list[object], tmp_path: Path
) -> None:
    called("run", *run_arguments)
    job = tmp_path / "audio" / "job.json"
    described = unsealed(job.read_bytes())
    described["job"]["cluster"] = {"kind": "slurm", "jobs": 2, "memory": "1 GB", "walltime": 60}
    job.write_text(json.dumps(sealed(described)))
    next((tmp_path / "audio" / COMMITS).iterdir()).unlink()
    assert "24 utterances" in called("retry", tmp_path / "audio", "--scheduler", "synchronous")
    assert unsealed(job.read_bytes())["job"]["cluster"]["kind"] == "synchronous"


def test_what_a_user_can_get_wrong_is_said_with_its_exit_code(run_arguments: list[object], tmp_path: Path) -> None:
    out = ["--out", tmp_path / "x"]
    cases: list[tuple[list[object], int, str]] = [
        (["run", "--store", tmp_path / "nowhere.zarr", *out], 2, "nowhere.zarr"),
        (["run", "--store", tmp_path, *out], 2, str(tmp_path)),
        (["run", *run_arguments, "--vocoder", "wavenet"], 2, "no vocoder is named 'wavenet'"),
        (["run", *run_arguments, "--vocoder", tmp_path / "no.onnx"], 2, "no.onnx"),
        (["run", *run_arguments, "--set", "output.bitrate=5"], 2, "output.bitrate: unknown key"),
        (["run", *run_arguments, "--set", "input.mel=tacotron2-22k"], 4, "framing"),
        (["run", *out], 2, "names no input.store"),
        (["run", tmp_path / "job.yaml"], 2, "there is no job file"),
        (["run", *run_arguments, "--no-such-flag"], 2, "no-such-flag"),
        (["run", *run_arguments, "--out", "/proc/audio"], 6, "/proc/audio"),
        (["verify", tmp_path / "nowhere"], 2, "holds no melmill output"),
        (["retry", tmp_path / "nowhere"], 2, "holds no melmill output"),
        (["inspect", tmp_path / "nowhere.zarr"], 2, "nowhere.zarr"),
        (["pack", tmp_path / "nowhere", tmp_path / "s.zarr", "--mel", "hifigan-22k"], 2, "nowhere"),
        (["pack", PROMPTS, tmp_path / "s.zarr"], 2, "states no mel contract; give it (--mel"),
        (["pack", PROMPTS, tmp_path / "s.zarr", "--mel", "hifigan"], 2, "the presets are bigvgan-24k"),
        (["pack", PROMPTS, tmp_path / "s.zarr", "--mel", tmp_path / "no.yaml"], 2, "there is no mel contract"),
        (["pack", PROMPTS, run_arguments[1], "--mel", "hifigan-22k"], 2, "exists"),
    ]
    for arguments, code, words in cases:
        assert words in called(*arguments, code=code).replace("\n", " "), arguments
    for arguments, code, words in cases[::6]:
        assert words in melmill(*arguments, code=code).replace("\n", " "), arguments


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@127.0.0.1:9/x",
        "http://127.0.0.1:9/x?X-Amz-Signature=secret",
        "simplecache::http://user:secret@127.0.0.1:9/x?sig=secret",
        "nosuch://user:secret@host/x",
        "zip://::http://user:secret@127.0.0.1:9/x",
    ],
)
def test_secrets_of_a_url_are_never_said(url: str, tmp_path: Path) -> None:
    run = ["run", "--store", url, "--out", str(tmp_path / "x"), "--log-json"]
    for words in (["inspect", url], run):
        done = CliRunner().invoke(app, words)
        assert isinstance(done.exception, SystemExit)  # any other error would be shown as it is
        assert done.exit_code in (2, 6)
        assert "secret" not in done.output
    if url.startswith("simplecache"):
        process = subprocess.run([COMMAND, *run], capture_output=True, text=True, check=False)
        assert process.returncode in (2, 6)
        assert "secret" not in process.stdout + process.stderr


def test_a_spec_file_names_any_contract(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "{sample_rate: 16000, n_fft: 512, hop_length: 160, win_length: 400, n_mels: 40, fmin: 50, fmax: 7600,\n"
        " mel_scale: htk, mel_norm: none, power: 2, log: log10, floor: 1.0e-10, framing: center}\n"
    )
    store, speech = tmp_path / "mels.zarr", tmp_path / "speech"
    speech.mkdir()
    shutil.copy(PROMPTS / "it_IT_m_Carlo" / "demo-nomatch.flac", speech)
    called("pack", speech, store, "--mel", spec, "--workers", 1)
    assert json.loads(called("inspect", store, "--json"))["spec"]["n_mels"] == 40
    assert "do not fit the vocoder" in called("run", "--store", store, "--out", tmp_path / "a", code=4)
    job = ["--store", store, "--out", tmp_path / "b", "--vocoder", "griffin-lim", "--scheduler", "synchronous"]
    called("run", *job)
    audio = tmp_path / "b" / rows(tmp_path / "b")[0]["shard"]
    with tarfile.open(audio) as tar:
        member = tar.extractfile(next(iter(tar)))
        assert member is not None
        assert soundfile.info(member).samplerate == 16000


def test_npy_mels_are_packed(mels: Path, tmp_path: Path) -> None:
    (mels / "broken.npy").write_bytes(b"no array")
    try:
        said = called("pack", mels, tmp_path / "s.zarr", "--mel", "hifigan-22k", "--workers", 1, code=3)
    finally:
        (mels / "broken.npy").unlink()
    assert "packed 24 utterances" in said
    assert "broken.npy" in said


@pytest.mark.parametrize(("stop", "after"), [(signal.SIGINT, 0), *((signal.SIGTERM, t) for t in (0, 0.02, 0.5))])
def test_stopped_while_packing_it_is_75_and_resumable(tmp_path: Path, stop: signal.Signals, after: float) -> None:
    for copy in range(8 if after > 0.1 else 2):  # or a fast machine is done before it is stopped
        shutil.copytree(PROMPTS, tmp_path / "prompts" / str(copy))
    command = [
        "env",
        "--default-signal=INT",
        COMMAND,
        "pack",
        tmp_path / "prompts",
        tmp_path / "s.zarr",
        "--mel",
        "hifigan-22k",
        "--workers",
        "1",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        while not (tmp_path / "s.zarr.partial").exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(after)
        if stop == signal.SIGINT:
            os.killpg(process.pid, stop)  # a terminal sends Ctrl-C to the workers too
        else:
            process.send_signal(stop)
        said = process.communicate()[1].decode()
    assert process.returncode == 75, said
    assert len(said.strip().splitlines()) == 1, said
    assert not (tmp_path / "s.zarr").exists()
    called("pack", tmp_path / "prompts", tmp_path / "s.zarr", "--mel", "hifigan-22k", "--workers", 1)


def test_help_says_what_there_is() -> None:
    assert "Usage: melmill" in melmill("--help")
    for command in ("pack", "inspect", "plan", "run", "retry", "publish", "status", "verify", "gc"):
        assert f"Usage: melmill {command}" in called(command, "--help")


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "pipeline", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("melmill ")


def test_mixed_precision_is_shown_by_plan_and_refused_with_2_where_it_cannot_be(
    run_arguments: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = [*run_arguments, "--set", "vocoder.precision=mixed"]
    if BFLOAT16_TARGETS:
        assert "runtime   native, mixed precision\n" in called("plan", *mixed)
        assert json.loads(called("plan", *mixed, "--json"))["precision"] == "mixed"
    assert "lift has no mixed precision" in called("plan", *mixed, "--set", "vocoder.name=lift", code=2)
    monkeypatch.setenv("MELMILL_KERNELS", "x86-64")
    said = melmill("plan", *mixed, "--set", "vocoder.runtime=native", code=2)
    assert "mixed precision needs AVX512_BF16, which the target of the kernels, x86-64 (128-bit" in said


def test_importing_the_package_imports_no_torch_and_nothing_heavy() -> None:
    code = "import pipeline, sys; print(sorted({'torch', 'dask', 'zarr', 'onnxruntime', 'typer'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_ctrl_c_while_the_command_is_loaded_is_one_line(tmp_path: Path) -> None:
    """Also where a class is just being made from text: CPython then means to end by the signal, whoever caught it."""
    script = """
import builtins
import pipeline.__main__ as command

load = builtins.__import__

def stop(name, *rest):
    if name == "pipeline":
        exec("raise KeyboardInterrupt")
    return load(name, *rest)

builtins.__import__ = stop
command.main()
"""
    (tmp_path / "stopped.py").write_text(script)
    command = [sys.executable, "-m", "stopped"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 75
    assert done.stderr == "melmill: interrupted; run the same command again\n"


def test_a_reader_that_has_enough_is_no_defect() -> None:
    """As in `melmill vocoder list | head -1`."""
    command = [sys.executable, "-u", "-m", "pipeline", "vocoder", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_a_full_log_stops_no_run_and_a_full_standard_output_is_no_defect(
    run_arguments: list[object], tmp_path: Path
) -> None:
    command = [COMMAND, "run", *map(str, run_arguments)]
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "wb") as full:
        assert subprocess.run(command, stderr=full, env=buffered, check=False).returncode == 0
        assert_whole(tmp_path / "audio", 24)
        assert subprocess.run(command, stdout=full, stderr=full, env=buffered, check=False).returncode == 6
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=buffered, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (6, 1)
    assert "could not be written: No space left on device" in done.stderr


def test_a_job_in_parts_is_told_part_by_part_and_published_once(run_arguments: list[object], tmp_path: Path) -> None:
    out = tmp_path / "audio"
    assert "--part 9/3: it must be INDEX/COUNT" in called("run", *run_arguments, "--part", "9/3", code=2)
    assert "holds no melmill output" in called("publish", out, code=2)
    with LocalStorage(out).share("part 1/3 of run 7 on there"):
        assert "other parts are still at work, and the last of them publishes" in called(
            "run", *run_arguments, "--part", "0/3"
        )
        assert "part" in called("publish", out, code=5)
        assert "parts      3, 1 of them started: 1 finished" in called("status", out)
    next((out / "_melmill" / "commits").iterdir()).unlink()
    assert "Run the parts of the job again" in called("publish", out, code=75)
    assert f"{out}/manifest.jsonl lists 24 utterances" in called("run", *run_arguments, "--part", "3/3")
    assert "nothing to do" in called("publish", out)
    assert "finished" in called("status", out)


def test_retry_stays_with_its_output_and_its_store(run_arguments: list[object], store: Path, tmp_path: Path) -> None:
    called("run", *run_arguments)
    out = tmp_path / "audio"
    for command in ("retry", "publish"):
        assert "this command works on" in called(command, out, "--set", f"output.url={tmp_path / 'elsewhere'}", code=2)
    assert not (tmp_path / "elsewhere").exists()
    store.rename(tmp_path / "moved.zarr")
    assert "pass --adopt" in called("retry", out, "--store", tmp_path / "moved.zarr", code=2)
    assert "nothing to do" not in called("retry", out, "--store", tmp_path / "moved.zarr", "--adopt")
    assert "nothing to do" in called("retry", out)
