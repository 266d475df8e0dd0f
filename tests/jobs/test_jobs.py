import contextlib
import dataclasses
import functools
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import zarr
from support.corpora import SPEC, assert_whole, digests, every_byte, objects, rows, tiny_vocoder
from support.kernels import needs_bfloat16
from support.packs import pack_npy

from pipeline.audio.encode import quantize
from pipeline.audio.levels import Levels
from pipeline.cli.run_view import noticed
from pipeline.config import JobConfig
from pipeline.dsp.mel_analysis import _OfThread
from pipeline.errors import ConfigError, ContractError, OwnedError, StorageError, TooManyFailuresError
from pipeline.events import (
    Event,
    NativeKernelsUnused,
    OtherProcessor,
    RunFinished,
    RunStarted,
    ShardCommitted,
    ShardStarted,
    UtterancesMade,
)
from pipeline.jobs import steps
from pipeline.jobs.run import plan, run
from pipeline.output.garbage import collect_garbage
from pipeline.output.not_measured import NO_DISTANCE
from pipeline.storage import LocalStorage
from pipeline.stores import open_store
from pipeline.vocoders import load_vocoder, native_vocoder, registry, vocode
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.sessions import Session

Build = Callable[..., JobConfig]
FORMATS = [
    ("tar", "flac", "PCM_16"),
    ("tar", "flac", "PCM_24"),
    ("tar", "wav", "PCM_16"),
    ("tar", "wav", "PCM_24"),
    ("tar", "wav", "FLOAT"),
    ("files", "flac", "PCM_16"),
    ("files", "wav", "FLOAT"),
]


def out_of(config: JobConfig) -> Path:
    return Path(config.output.url)


@pytest.mark.parametrize("runtime", ["onnxruntime", "native"])
def test_a_run_on_another_kind_of_processor_says_so_once_if_samples_may_differ(
    job: Build, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notices(vocoder: str) -> list[Event]:
        told: list[Event] = []
        run(job(vocoder__name=vocoder, vocoder__runtime=runtime), told.append)
        return [event for event in told if isinstance(event, OtherProcessor)]

    def machine(kind: str) -> None:
        monkeypatch.setattr("pipeline.worker.task.processor", lambda: kind)

    config = job()
    first, second = config.vocoder.name, str(tiny_vocoder(out_of(config).parent / "second.onnx", seed=1))
    machine("one")
    assert notices(first) == []
    assert notices(second) == []
    machine("other")
    assert notices(first) == []  # there is nothing to do
    third = str(tiny_vocoder(out_of(config).parent / "third.onnx", seed=2))
    assert notices(third) == ([] if runtime == "native" else [OtherProcessor("other", ("one",))])
    assert json.loads((out_of(config) / "job.json").read_text())["processors"] == ["one", "other"]
    assert notices(str(tiny_vocoder(out_of(config).parent / "fourth.onnx", seed=3))) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [({"output__subtype": "PCM_24"}, []), ({"output__sample_rate": 8000}, [OtherProcessor("other", ("one",))])],
    ids=["another subtype", "resampled"],
)
def test_another_kind_of_processor_matters_for_griffin_lim_only_if_its_samples_are_resampled(
    job: Build, change: dict[str, Any], told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Event] = []
    for kind, settings in (("one", {}), ("other", change)):
        monkeypatch.setattr("pipeline.worker.task.processor", lambda kind=kind: kind)
        run(job(vocoder__name="griffin-lim", **settings), found.append)
    assert sum(isinstance(event, ShardStarted) for event in found) > 1
    assert [event for event in found if isinstance(event, OtherProcessor)] == told


def test_a_key_whose_file_would_have_too_long_a_name_is_quarantined(job: Build, store: Path, tmp_path: Path) -> None:
    """Paths have 4095 bytes; the output's folder takes some, and the key's escapes are three times as long."""
    out = tmp_path.joinpath(*["deep" * 50] * 10) / "audio"
    group: Any = zarr.open_group(str(store), mode="r+")
    group["keys"][3] = "ы" * 512
    run(job(output__container="files", output__url=str(out), quality__max_failure_rate=1))
    assert_whole(out, 24, failed=1)
    (failed,) = rows(out, "failures.jsonl")
    assert re.search(r"has 3\d\d\d bytes; the output allows \d+\. Shorten the key, or .* tar", failed["reason"])
    run(job(output__url=str(tmp_path / "tar")))
    assert_whole(tmp_path / "tar", 24)


@pytest.mark.parametrize(("container", "codec", "subtype"), FORMATS)
def test_every_format_holds_what_the_vocoder_gives(job: Build, container: str, codec: str, subtype: str) -> None:
    config = job(output__container=container, output__codec=codec, output__subtype=subtype)
    run(config)
    out = out_of(config)
    assert_whole(out, 24)
    store = open_store(config.input.store)
    wanted = {each.key: vocode(store.read(each), config.vocoder.name) for each in store.catalogue()}
    for row in rows(out):
        path = out / row["shard"] / row["member"] if container == "files" else out / row["shard"]
        encoded = path.read_bytes()[row["offset"] :][: row["bytes"]]
        audio, rate = soundfile.read(io.BytesIO(encoded), dtype="float32")
        steps, _ = quantize(wanted[row["key"]], config.output.subtype)
        full = {"PCM_16": 2**15, "PCM_24": 2**23, "FLOAT": 1}[subtype]
        np.testing.assert_array_equal(audio, (steps / full).astype(np.float32))
        assert (rate, row["num_samples"], row["peak"]) == (22050, len(audio), np.abs(wanted[row["key"]]).max())


def test_the_tars_members_are_the_manifests(job: Build) -> None:
    config = job()
    run(config)
    for name in {row["shard"] for row in rows(out_of(config))}:
        here = [row for row in rows(out_of(config)) if row["shard"] == name]
        with tarfile.open(out_of(config) / name) as tar:
            audio = [member for member in tar if member.name.endswith(".flac")]
        assert [(m.name, m.offset_data, m.size) for m in audio] == [
            (r["member"], r["offset"], r["bytes"]) for r in here
        ]


def test_samples_do_not_depend_on_shards_window_or_neighbours(job: Build, tmp_path: Path) -> None:
    """Windows change float samples by rounding alone, which 16 bits do not see here."""
    seen = []
    for number, (shard_seconds, window) in enumerate([(10, 512), (3, 512), (600, 100), (1, 64)]):
        config = job(
            output__url=str(tmp_path / str(number)), output__shard_seconds=shard_seconds, vocoder__window=window
        )
        run(config)
        seen.append(
            {
                row["key"]: (row["num_samples"], round(row["peak"], 5), row["duration"])
                for row in rows(tmp_path / str(number))
            }
        )
    assert seen.count(seen[0]) == 4
    assert digests(tmp_path / "0") == digests(tmp_path / "1")


def test_nothing_to_do_writes_nothing(job: Build) -> None:
    config = job()
    first = run(config)
    before = every_byte(out_of(config))
    again = run(config)
    assert every_byte(out_of(config)) == before
    assert (again.run_id, again.made_seconds, again.totals) == ("", 0, first.totals)


def test_a_run_that_another_was_faster_than_has_nothing_to_do(job: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other has the lock, makes everything and ends after this run has planned and before it locks."""
    real_lock = LocalStorage.lock
    left: list[dict[str, tuple[str, int]]] = []

    def late(storage: LocalStorage, owner: str) -> contextlib.AbstractContextManager[None]:
        monkeypatch.setattr(LocalStorage, "lock", real_lock)
        run(job())
        left.append(every_byte(storage.root))
        return real_lock(storage, owner)

    monkeypatch.setattr(LocalStorage, "lock", late)
    report = run(job())
    assert (report.run_id, report.made_seconds, report.totals.utterances) == ("", 0.0, 24)
    lock = "_melmill/run.lock"
    assert {**every_byte(Path(job().output.url)), lock: ("", 0)} == {**left[0], lock: ("", 0)}


def test_a_plan_writes_nothing(job: Build) -> None:
    config = job()
    assert len(plan(config).todo) > 3
    assert not out_of(config).exists()


def test_a_lost_manifest_is_published_again_without_new_work(job: Build) -> None:
    config = job()
    run(config)
    kept = objects(out_of(config))
    manifest = (out_of(config) / "manifest.jsonl").read_bytes()
    (out_of(config) / "manifest.jsonl").unlink()
    assert run(config).made_seconds == 0
    assert (out_of(config) / "manifest.jsonl").read_bytes() == manifest
    assert objects(out_of(config)) == kept


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_lost_object_is_noticed_by_the_next_run_and_made_again(job: Build, container: str) -> None:
    config = job(output__container=container)
    run(config)
    before = digests(out_of(config))
    lost = sorted(objects(out_of(config)))[0]
    (out_of(config) / lost).unlink()
    (shard,) = plan(config).todo
    assert shard.reason == f"its object {lost} is lost"
    assert run(config).made_seconds == pytest.approx(shard.seconds)
    assert digests(out_of(config)) == before
    assert_whole(out_of(config), 24)
    assert run(config).run_id == ""


def test_another_vocoder_makes_all_shards_anew_and_the_manifest_names_only_the_new(job: Build, tmp_path: Path) -> None:
    run(job())
    other = tiny_vocoder(tmp_path / "other.onnx", seed=1)
    config = job(vocoder__name=str(other))
    assert all(shard.reason.startswith("vocoder ") for shard in plan(config).todo)
    before = digests(out_of(config))
    run(config)
    assert_whole(out_of(config), 24)
    assert not set(before.values()) & set(digests(out_of(config)).values())
    run(job())  # and back: the old shards are still there
    assert digests(out_of(config)) == before


def test_events_tell_the_whole_run(job: Build) -> None:
    config = job()
    events: list[Event] = []
    report = run(config, events.append)
    started, finished = events[0], events[-1]
    assert isinstance(started, RunStarted)
    assert isinstance(finished, RunFinished)
    committed = [event for event in events if isinstance(event, ShardCommitted)]
    assert (started.shards, started.utterances, finished.utterances) == (len(committed), 24, 24)
    assert sum(event.seconds for event in committed) == pytest.approx(finished.seconds) == report.totals.seconds
    assert len(committed) <= sum(isinstance(event, UtterancesMade) for event in events) <= 24
    assert all(json.loads(json.dumps(event.to_dict())) for event in events)


def test_metadata_of_the_store_goes_along(job: Build, store: Path) -> None:
    group = zarr.open_group(str(store))
    count = group["keys"].shape[0]
    texts = [json.dumps({"text": f"prompt {i}", "speaker": "Аня"}) for i in range(count)]
    array = group.create_array("meta", shape=(count,), dtype=np.dtypes.StringDType())
    array[:] = np.array(texts, np.dtypes.StringDType())
    config = job()
    run(config)
    assert [row["meta"]["text"] for row in rows(out_of(config))] == [f"prompt {i}" for i in range(count)]
    with tarfile.open(out_of(config) / rows(out_of(config))[0]["shard"]) as tar:
        sidecar = json.load(tar.extractfile(next(m for m in tar if m.name.endswith(".json"))))
    assert sidecar["meta"] == {"text": "prompt 0", "speaker": "Аня"}


def test_twenty_minutes_in_one_utterance_take_the_memory_of_a_window(
    tmp_path: Path, packed: Path, vocoder_path: Path
) -> None:
    """Its waveform alone is 106 MB of float32, its mel 33 MB."""
    opened = open_store(str(packed))
    mel = np.concatenate([opened.read(each) for each in opened.catalogue()], axis=1)
    frames = 1200 * 22050 // 256
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "long.npy", np.tile(mel, (1, frames // mel.shape[1] + 1))[:, :frames])
    pack_npy(str(tmp_path / "in"), str(tmp_path / "long.zarr"), SPEC, workers=1)
    peak = peak_of_a_run(tmp_path / "long.zarr", tmp_path / "audio", str(vocoder_path))
    assert rows(tmp_path / "audio")[0]["num_samples"] == frames * 256
    assert peak < 220 * 2**20  # 165 MiB when this was written, of an hour


def test_the_planned_memory_of_a_worker_is_what_it_takes(tmp_path: Path) -> None:
    store = grouped(tmp_path / "long.zarr", {"long": noise(600)}, {"mel": "hifigan-22k"})
    config = JobConfig.build({"input": {"store": str(store)}, "output": {"url": str(tmp_path / "audio")}})
    load_vocoder("hifigan-universal").prepare()  # converts the checkpoint and compiles, if need be, in this process
    found = plan(config)
    assert found.memory.shared > 150e6
    planned = found.memory.worker + found.memory.shared
    peak = peak_of_a_run(store, tmp_path / "audio", "hifigan-universal")
    assert peak < planned * 1.05  # Dask's own part is not in this peak
    assert planned < 1.5 * peak


def peak_of_a_run(store: Path, out: Path, vocoder: str) -> int:
    """Largest resident memory [bytes] of a process that runs a job by itself."""
    code = (
        "import re, sys; from pathlib import Path; from pipeline import JobConfig, run\n"
        "store, out, vocoder = sys.argv[1:]\n"
        "run(JobConfig.build({'input': {'store': store}, 'output': {'url': out}, 'vocoder': {'name': vocoder},"
        " 'cluster': {'kind': 'synchronous'}}))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    arguments = [str(store), str(out), vocoder]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024


# ---- the contract


def grouped(path: Path, mels: dict[str, np.ndarray], attributes: dict | None = None, names: tuple = ()) -> Path:
    group = zarr.open_group(str(path), mode="w", attributes=attributes or {})
    for key, mel in mels.items():
        group.create_array(key, data=mel.astype(np.float32), dimension_names=names or None)
    return path


def noise(frames: int, bands: int = 80) -> np.ndarray:
    return np.random.default_rng(frames).uniform(-8, 0, (bands, frames)).astype(np.float32)


def test_a_store_that_does_not_fit_is_refused_with_fields_values_and_remedy(job: Build, tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, fmax=7600.0, hop_length=200, win_length=800, n_fft=1024)
    store = grouped(tmp_path / "other.zarr", {"a": noise(50)}, {"melmill": {"mel": spec.to_dict()}})
    config = job(input__store=str(store))
    with pytest.raises(ContractError) as caught:
        run(config)
    for words in ("fmax: 7600.0 -> 8000.0", "hop_length: 200 -> 256", "cannot be converted", "choose a vocoder"):
        assert words in str(caught.value)
    assert caught.value.exit_code == 4
    assert not out_of(config).exists()


def test_log10_is_converted_when_asked_and_then_sounds_the_same(job: Build, tmp_path: Path) -> None:
    natural = {"a": noise(60), "b": noise(70)}
    tenth = {key: mel / np.float32(np.log(10)) for key, mel in natural.items()}
    spec = dataclasses.replace(SPEC, log="log10")
    config = job(
        input__store=str(grouped(tmp_path / "ln.zarr", natural, {"mel": "hifigan-22k"})),
        output__url=str(tmp_path / "a"), output__codec="wav", output__subtype="FLOAT",
    )  # fmt: skip
    run(config)
    store = grouped(tmp_path / "log10.zarr", tenth, {"melmill": {"mel": spec.to_dict()}})
    changed = {"input__store": str(store), "output__url": str(tmp_path / "b"), "output__codec": "wav"}
    with pytest.raises(ContractError, match=r"pass --set input\.convert=true"):
        run(job(**changed))
    run(job(**changed, output__subtype="FLOAT", input__convert=True))
    for one, other in zip(rows(tmp_path / "a"), rows(tmp_path / "b"), strict=True):
        assert one["peak"] == pytest.approx(other["peak"], abs=1e-5)


def test_a_store_without_a_contract_is_never_assumed_to_have_one(job: Build, tmp_path: Path) -> None:
    store = grouped(tmp_path / "bare.zarr", {"a": noise(50), "b": noise(60)}, names=("mel", "time"))
    with pytest.raises(ContractError, match=r"states no mel contract.*input\.mel: hifigan-22k") as caught:
        run(job(input__store=str(store)))
    assert caught.value.exit_code == 4
    run(job(input__store=str(store), input__mel="hifigan-22k"))


def test_a_job_that_contradicts_its_store_is_refused(job: Build) -> None:
    with pytest.raises(ContractError, match="framing is same in the store, center in the job"):
        run(job(input__mel="tacotron2-22k"))


# ---- bad input


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda mel: mel.__setitem__((slice(None), 7), np.nan), "BadMelError"),
        (lambda mel: mel.__setitem__((3, 2), np.inf), "BadMelError"),
    ],
)
def test_a_bad_mel_is_quarantined_alone_with_its_place(
    job: Build, tmp_path: Path, damage: Callable, error: str
) -> None:
    mels = {f"u{i}": noise(40 + i) for i in range(9)}
    damage(mels["u4"])
    store = grouped(tmp_path / "bad.zarr", mels, {"mel": "hifigan-22k"})
    config = job(input__store=str(store), quality__max_failure_rate=0.5, output__shard_seconds=1)
    report = run(config)
    assert (report.totals.utterances, report.totals.failed) == (8, 1)
    (failure,) = rows(out_of(config), "failures.jsonl")
    assert (failure["key"], failure["error"], failure["source"]["row"]) == ("u4", error, "u4")
    assert failure["reason"]
    assert_whole(out_of(config), 9, failed=1)


def test_a_missing_chunk_quarantines_what_lies_in_it_and_nothing_else(job: Build, tmp_path: Path) -> None:
    mels = {f"u{i}": noise(40 + i) for i in range(9)}
    store = grouped(tmp_path / "gap.zarr", mels, {"mel": "hifigan-22k"})
    shutil.rmtree(store / "u5" / "c")
    config = job(input__store=str(store), quality__max_failure_rate=0.5)
    run(config)
    (failure,) = rows(out_of(config), "failures.jsonl")
    assert (failure["key"], failure["error"]) == ("u5", "MissingChunkError")
    assert "u5/c/0/0" in failure["reason"]
    assert_whole(out_of(config), 9, failed=1)


def test_a_shard_whose_utterances_all_fail_is_committed_without_an_object(job: Build, tmp_path: Path) -> None:
    store = grouped(tmp_path / "nan.zarr", {"a": np.full((80, 50), np.nan)}, {"mel": "hifigan-22k"})
    config = job(input__store=str(store), quality__max_failure_rate=1)
    assert run(config).totals.failed == 1
    assert_whole(out_of(config), 1, failed=1)
    assert run(config).run_id == ""


def test_too_many_failures_are_an_error_after_everything_is_published(job: Build, tmp_path: Path) -> None:
    mels = {f"u{i}": noise(40) for i in range(9)}
    mels["u1"][:] = np.nan
    config = job(input__store=str(grouped(tmp_path / "bad.zarr", mels, {"mel": "hifigan-22k"})))
    with pytest.raises(TooManyFailuresError, match=r"1 of 9 utterances failed, 11\.1%, more than .* 1\.0%") as caught:
        run(config)
    assert caught.value.exit_code == 7
    assert_whole(out_of(config), 9, failed=1)


@pytest.mark.parametrize("key", ["a/b", "..", ".", "ключ", "x" * 300, "a.flac", "__x__", "../../up"])
def test_hostile_keys_stay_in_the_output(job: Build, tmp_path: Path, store: Path, key: str) -> None:
    group = zarr.open_group(str(store))
    keys = np.array(group["keys"][:], np.dtypes.StringDType())
    keys[3] = key
    group["keys"][:] = keys
    for container in ("tar", "files"):
        before = {path for path in tmp_path.iterdir() if path.name != "audio"}
        config = job(output__container=container, output__url=str(tmp_path / "audio" / container))
        run(config)
        assert key in digests(out_of(config))
        assert_whole(out_of(config), 24)
        assert {path for path in tmp_path.iterdir() if path.name != "audio"} == before


def test_duplicate_keys_are_quarantined_all_of_them(job: Build, store: Path) -> None:
    group = zarr.open_group(str(store))
    keys = np.array(group["keys"][:], np.dtypes.StringDType())
    keys[9] = keys[2]
    group["keys"][:] = keys
    config = job(quality__max_failure_rate=0.1)
    assert run(config).totals.failed == 2
    bad = rows(out_of(config), "failures.jsonl")
    assert {row["key"] for row in bad} == {str(keys[2])}
    assert "2" in bad[0]["reason"]
    assert "9" in bad[0]["reason"]
    assert len(digests(out_of(config))) == 22


def test_utterances_without_frames_are_quarantined(job: Build, store: Path) -> None:
    group = zarr.open_group(str(store))
    offsets = group["offsets"][:]
    offsets[5] = offsets[4]
    group["offsets"][:] = offsets
    config = job(quality__max_failure_rate=0.1)
    assert run(config).totals.failed == 2  # and the one that now begins where that one did
    assert "it has no frames" in rows(out_of(config), "failures.jsonl")[1]["reason"]


def edit_a_row(group: zarr.Group) -> None:
    rows = group["mel"][:2000]
    rows[700, 3] += 0.25
    group["mel"][:2000] = rows


def join_two(group: zarr.Group) -> None:
    offsets = group["offsets"][:]
    offsets[5] = offsets[6] = offsets[7]
    group["offsets"][:] = offsets


@pytest.mark.parametrize(("edit", "failed", "changed"), [(edit_a_row, 1, 1), (join_two, 3, 1)])
@pytest.mark.parametrize("window", [16, 512])
def test_a_mel_that_is_not_the_one_packed_is_quarantined(
    job: Build, store: Path, edit: Callable, failed: int, changed: int, window: int
) -> None:
    edit(zarr.open_group(str(store)))
    config = job(quality__max_failure_rate=0.5, vocoder__window=window)
    assert run(config).totals.failed == failed
    bad = [row for row in rows(out_of(config), "failures.jsonl") if row["error"] == "CorruptChunkError"]
    assert len(bad) == changed
    assert "are not those that were listed" in bad[0]["reason"]
    assert_whole(out_of(config), 24, failed=failed)


def test_an_endless_utterance_is_quarantined_before_any_work(job: Build) -> None:
    config = job(input__max_utterance_seconds=2, quality__max_failure_rate=1)
    report = run(config)
    assert 0 < report.totals.failed < 24
    assert all(
        "more than input.max_utterance_seconds, 2 s" in row["reason"] for row in rows(out_of(config), "failures.jsonl")
    )


def test_an_output_of_another_job_is_refused_and_adopted_when_told(job: Build, store: Path, tmp_path: Path) -> None:
    run(job())
    moved = shutil.move(store, tmp_path / "moved.zarr")
    config = job(input__store=str(moved))
    with pytest.raises(ConfigError, match=r"belongs to another job: it was made from .*mels\.zarr.*--adopt"):
        run(config)
    assert run(config, adopt=True).made_seconds == 0
    assert run(config).run_id == ""  # it is this job's from now on


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data/train.parquet", "lies where melmill writes. Move it away"),
        ("data/000000-0123abcd.tar", "lies where melmill writes. Move it away"),
        ("manifest.jsonl", "lies where melmill writes. Move it away"),
        ("failures.jsonl", "lies where melmill writes. Move it away"),
        ("index.json", "lies where melmill writes. Move it away"),
        ("job.json", "is not as melmill writes it"),
        ("zarr.json", "so it is a Zarr store. Choose another folder"),
        (".zgroup", "so it is a Zarr store. Choose another folder"),
    ],
)
def test_a_folder_in_which_something_is_in_the_way_is_refused(
    job: Build, tmp_path: Path, name: str, words: str
) -> None:
    path = tmp_path / "audio" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ConfigError) as told:
        run(job())
    assert words in str(told.value)
    assert name in str(told.value)
    assert [each for each in (tmp_path / "audio").rglob("*") if each.is_file()] == [path]
    assert path.read_text() == "mine"


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_folder_that_holds_other_peoples_files_becomes_an_output_and_they_are_left_alone(
    job: Build, tmp_path: Path, container: str
) -> None:
    theirs = {"README.md": b"---\nlicense: cc0-1.0\n---\n", "metadata.jsonl": b"{}\n", "plots/1.png": b"x"}
    theirs |= {".DS_Store": b"x", "data/.DS_Store": b"x", "dataset_infos.json": b"{}"}
    out = tmp_path / "audio"
    for name, content in theirs.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    run(job(output__container=container))
    assert_whole(out, 24)
    assert run(job(output__container=container)).run_id == ""
    assert collect_garbage(str(out)).garbage == ()
    assert {name: (out / name).read_bytes() for name in theirs} == theirs


@pytest.mark.parametrize("below", ["audio", "mel/audio", "."])
def test_an_output_within_the_store_is_refused(job: Build, store: Path, below: str) -> None:
    with pytest.raises(ConfigError, match="lies in the store"):
        run(job(output__url=str(store / below)))
    assert not (store / "mel" / "audio").exists()
    assert not (store / "audio").exists()


def test_a_second_run_at_once_is_told_so(job: Build, tmp_path: Path) -> None:
    with (
        LocalStorage(tmp_path / "audio").lock("run 7 on there, process 1"),
        pytest.raises(OwnedError, match="run 7 on there"),
    ):
        run(job())


def test_an_output_that_cannot_be_written_is_a_storage_error(job: Build, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another output"):
        run(job(output__url=str(tmp_path / "file" / "audio")))


def test_log10_taken_for_ln_stands_out_by_its_relative_mel_distance(tmp_path: Path, packed: Path) -> None:
    """With the default vocoder, on real speech. The plain distance does not tell: the values lie closer together."""
    store = open_store(str(packed))
    chosen = [utterance for utterance in store.catalogue() if utterance.frames < 180][:4]
    mels = {each.key.replace("/", "-"): store.read(each) for each in chosen}
    relative = []
    for name, scale in (("right", 1.0), ("wrong", 1 / np.log(10))):
        path = grouped(tmp_path / f"{name}.zarr", {key: mel * scale for key, mel in mels.items()})
        told = {"store": str(path), "mel": "hifigan-22k", "check_values": False}  # else the wrong one is refused
        values = {"input": told, "output": {"url": str(tmp_path / name)}}
        run(JobConfig.build({**values, "cluster": {"kind": "synchronous"}}))
        relative.append([row["mel_distance_relative"] for row in rows(tmp_path / name)])
    assert len(relative[0]) == 4
    assert max(relative[0]) < min(relative[1])
    assert np.median(relative[1]) > 1.7 * np.median(relative[0])


def test_an_utterance_that_trips_the_vocoder_or_the_memory_is_quarantined(
    job: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_call(number: int, error: Exception, real: Callable) -> Callable:
        calls = itertools.count(1)

        def call(*arguments: object) -> object:
            if next(calls) == number:
                raise error
            return real(*arguments)

        return call

    own_session = OnnxModel._own_session
    tripping = at_call(3, RuntimeError("a kernel failed"), lambda model, mel: own_session(model).run(mel))
    monkeypatch.setattr(OnnxModel, "_own_session", lambda model: Session(functools.partial(tripping, model), "cpu"))
    monkeypatch.setattr(Levels, "push", at_call(7, MemoryError(), Levels.push))
    config = job(vocoder__runtime="onnxruntime", quality__max_failure_rate=0.5)
    assert run(config).totals.failed == 2
    assert {row["error"] for row in rows(out_of(config), "failures.jsonl")} == {"VocoderError", "MemoryError"}
    assert_whole(out_of(config), 24, failed=2)


def test_what_runs_the_net_is_told_if_it_could_be_faster_and_is_written_down(
    job: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(runtime: str, name: str) -> tuple[list[Event], str]:
        events: list[Event] = []
        run(job(vocoder__runtime=runtime, output__url=str(tmp_path / name)), events.append)
        described = json.loads((tmp_path / name / "job.json").read_text())
        return [each for each in events if isinstance(each, NativeKernelsUnused)], described["vocoder"]["runtime"]

    assert told("auto", "native") == ([], "native")
    assert told("onnxruntime", "asked") == ([], "onnxruntime")
    monkeypatch.setattr(native_vocoder, "available", lambda: "it is forbidden")
    registry._load.cache_clear()
    why = "there are no native kernels here: it is forbidden"
    assert told("auto", "fallen") == ([NativeKernelsUnused(why)], "onnxruntime")
    assert told("auto", "fallen") == ([], "onnxruntime")  # there is nothing to do
    assert noticed(NativeKernelsUnused(why)) == f"note: vocoding with onnxruntime: {why}"
    with pytest.raises(ConfigError, match=why):
        run(job(vocoder__runtime="native"))
    registry._load.cache_clear()


@needs_bfloat16
def test_another_precision_makes_shards_again_and_says_how_to_keep_them(job: Build) -> None:
    run(job())
    mixed = job(vocoder__precision="mixed")
    found = plan(mixed)
    assert found.describe()["precision"] == "mixed"
    assert len(found.todo) == len(plan(job()).done) > 0
    (reason,) = found.reasons
    assert "--set vocoder.runtime=native --set vocoder.precision=float32 keeps these shards" in reason.words
    run(mixed)
    assert json.loads((out_of(mixed) / "job.json").read_text())["job"]["vocoder"]["precision"] == "mixed"
    assert plan(mixed).todo == ()


@pytest.mark.parametrize("kind", ["synchronous", "local"])
def test_what_all_workers_load_is_made_before_they_start(
    job: Build, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path / "cache"))
    own = tiny_vocoder(tmp_path / "own.onnx", seed=17)
    cluster = {"kind": kind} | ({"workers": 2} if kind == "local" else {})
    at_start: list[set[str]] = []

    def execute(*arguments: Any) -> Any:
        at_start.append({path.name for path in (tmp_path / "cache" / "kernels").iterdir()})
        return steps_execute(*arguments)

    steps_execute = steps.execute
    monkeypatch.setattr(steps, "execute", execute)
    # The code is in this process already if another test has used it, and then need not be written.
    monkeypatch.setattr("pipeline.kernels.recipe._loaded", {})
    monkeypatch.setattr("pipeline.dsp.mel_analysis._of_thread", _OfThread())
    run(job(vocoder__name=str(own), **{f"cluster__{key}": value for key, value in cluster.items()}))
    ((made),) = at_start
    assert {name.partition("-")[0] for name in made} == {"code", "array"}
    assert {path.name for path in (tmp_path / "cache" / "kernels").iterdir()} == made
    assert_whole(tmp_path / "audio", 24)


def test_mel_distance_can_be_left_out(job: Build) -> None:
    config = job(quality__mel_distance=False)
    run(config)
    for name in ("mel_distance", "mel_distance_relative"):
        assert {row[name] for row in rows(out_of(config))} == {NO_DISTANCE}
