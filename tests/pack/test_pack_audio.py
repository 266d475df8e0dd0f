"""Packing audio: what is in the store, what becomes of bad files, and what happens when it is killed."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from support.packing import SPEC, contents, start_packing, write_tone
from support.packs import pack_audio
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.errors import ConfigError, InterruptedRunError, OwnedError, StorageError
from pipeline.pack import PackProgress, writer
from pipeline.stores import inspect_store, open_store


@pytest.fixture
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SHARD_FRAMES", 2048)
    monkeypatch.setattr(writer, "CHUNK_FRAMES", 256)


def test_packed_prompts_are_the_log_mels_of_their_audio(tmp_path: Path) -> None:
    seen: list[PackProgress] = []
    result = pack_audio(str(PROMPTS), str(tmp_path / "s.zarr"), SPEC, on_progress=seen.append)
    paths = sorted(PROMPTS.rglob("*.flac"))
    assert (result.utterances, result.failures, result.kept) == (len(paths), (), 0)
    assert (seen[0].done, seen[-1].done, seen[-1].total) == (0, len(paths), len(paths))
    assert seen[-1].seconds == pytest.approx(result.seconds)
    store = open_store(str(tmp_path / "s.zarr"))
    assert store.spec == SPEC
    listed = store.catalogue()
    assert not listed.faults
    assert [u.key for u in listed] == sorted(str(path.relative_to(PROMPTS).with_suffix("")) for path in paths)
    for utterance in listed:
        samples, rate = soundfile.read(PROMPTS / f"{utterance.key}.flac", dtype="float32")
        expected = log_mel(soxr.resample(samples, rate, SPEC.sample_rate, quality="VHQ"), SPEC)
        mel = store.read(utterance)
        assert mel.shape == expected.shape
        # soxr rounds differently at the borders of its blocks: 1e-7 of full scale, seen near the log's floor of 1e-5.
        np.testing.assert_allclose(mel, expected, atol=0.02)
    report = inspect_store(store)
    assert (report.missing_chunks, report.out_of_range, report.examined) == (0, 0, len(paths))


def test_an_ordinary_reader_of_zarr_sees_the_same_rows(tmp_path: Path) -> None:
    import zarr

    write_tone(tmp_path / "in/a.wav", 1.0)
    write_tone(tmp_path / "in/b.wav", 0.7)
    pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    group = zarr.open_group(str(tmp_path / "s.zarr"), mode="r")
    offsets = np.asarray(group["offsets"])
    assert list(np.asarray(group["keys"])) == ["a", "b"]
    samples, _ = soundfile.read(tmp_path / "in/b.wav", dtype="float32")
    rows = np.asarray(group["mel"])[offsets[1] : offsets[2]]
    np.testing.assert_array_equal(rows.T, log_mel(samples, SPEC))


@pytest.mark.usefixtures("_small_shards")
def test_many_workers_pack_the_same_bytes_as_one(tmp_path: Path) -> None:
    pack_audio(str(PROMPTS), str(tmp_path / "one.zarr"), SPEC, workers=1)
    pack_audio(str(PROMPTS), str(tmp_path / "three.zarr"), SPEC, workers=3)
    assert contents(tmp_path / "one.zarr") == contents(tmp_path / "three.zarr")
    assert len(list((tmp_path / "one.zarr/mel/c").iterdir())) > 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.zarr", "three.zarr"]


def test_a_changed_sample_changes_the_digest_and_only_that(tmp_path: Path) -> None:
    for name in "ab":
        write_tone(tmp_path / f"in/{name}.wav")
    pack_audio(str(tmp_path / "in"), str(tmp_path / "1.zarr"), SPEC, workers=1)
    write_tone(tmp_path / "in/b.wav", 0.6)
    pack_audio(str(tmp_path / "in"), str(tmp_path / "2.zarr"), SPEC, workers=1)
    first, second = ([u.digest for u in open_store(str(tmp_path / f"{n}.zarr")).catalogue()] for n in (1, 2))
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_channels_are_averaged_and_every_format_is_read(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/two.wav", channels=2)
    for extension in ("flac", "ogg", "mp3", "aiff", "WAV", "opus"):
        sample_rate = 24000 if extension == "opus" else 22050
        if extension == "opus":
            samples, _ = soundfile.read(tmp_path / "in/two.wav", dtype="float32")
            soundfile.write(tmp_path / "in/o.opus", samples, sample_rate, format="OGG", subtype="OPUS")
        else:
            write_tone(tmp_path / f"in/{extension}.{extension}", sample_rate=sample_rate)
    (tmp_path / "in/notes.txt").write_text("not audio")
    result = pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    assert (result.utterances, result.failures, result.ignored) == (7, (), 1)
    store = open_store(str(tmp_path / "s.zarr"))
    utterance = next(u for u in store.catalogue() if u.key == "two")
    samples, _ = soundfile.read(tmp_path / "in/two.wav", dtype="float32")
    np.testing.assert_allclose(store.read(utterance), log_mel(samples.mean(axis=1), SPEC), atol=1e-4)


def test_bad_files_are_listed_and_the_others_packed(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/good.wav")
    write_tone(tmp_path / "in/cut.flac", 8.0)
    whole = (tmp_path / "in/cut.flac").read_bytes()
    (tmp_path / "in/cut.flac").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in/text.wav").write_text("this is no audio")
    (tmp_path / "in/nothing.flac").write_bytes(b"")
    soundfile.write(tmp_path / "in/empty.wav", np.empty(0, np.float32), 22050)
    soundfile.write(tmp_path / "in/short.wav", np.zeros(100, np.float32), 22050)
    samples = np.zeros(9000, np.float32)
    samples[8123] = np.nan
    soundfile.write(tmp_path / "in/nan.wav", samples, 22050, subtype="FLOAT")
    os.mkdir(tmp_path / "in/folder.wav")
    write_tone(tmp_path / "in/latin.wav")
    os.rename(os.fsencode(tmp_path / "in/latin.wav"), os.fsencode(tmp_path / "in/") + b"/caf\xe9.wav")
    os.symlink(tmp_path / "nowhere.wav", tmp_path / "in/dangling.wav")
    os.mkfifo(tmp_path / "in/pipe.wav")
    result = pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=2)
    reasons = {failure.path: failure.reason for failure in result.failures}
    assert result.utterances == 1
    assert set(reasons) == {
        "cut.flac", "text.wav", "nothing.flac", "empty.wav", "short.wav", "nan.wav", "dangling.wav", "pipe.wav",
        r"caf\xe9.wav"
    }  # fmt: skip
    assert "cannot be read" in reasons["text.wav"]
    assert "cannot be read" in reasons["nothing.flac"]
    assert "empty" in reasons["empty.wav"]
    assert "too short" in reasons["short.wav"]
    assert "sample 8123" in reasons["nan.wav"]
    assert "UTF-8" in reasons[r"caf\xe9.wav"]
    assert [u.key for u in open_store(str(tmp_path / "s.zarr")).catalogue()] == ["good"]


def test_a_folder_of_nothing_but_bad_files_makes_no_store(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.wav").write_text("no audio")
    with pytest.raises(ConfigError, match=r"no utterance in .* could be packed \(1 tried\).*a\.wav"):
        pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_two_files_of_one_key_are_refused_before_any_work(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/x/a.wav")
    write_tone(tmp_path / "in/x/a.flac")
    with pytest.raises(ConfigError, match=r"x/a\.flac and x/a\.wav.*'x/a'"):
        pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("")])
def test_a_folder_without_audio_is_refused(tmp_path: Path, make: object) -> None:
    make(tmp_path / "in")  # type: ignore[operator]
    with pytest.raises(ConfigError, match="in"):
        pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC)
    assert not list(tmp_path.glob("s.zarr*"))


def test_an_output_that_exists_is_refused(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/a.wav")
    (tmp_path / "s.zarr").mkdir()
    with pytest.raises(ConfigError, match="exists"):
        pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC)


def test_a_linked_folder_is_packed_and_a_loop_is_not_followed(tmp_path: Path) -> None:
    write_tone(tmp_path / "elsewhere/a.wav")
    write_tone(tmp_path / "in/b.wav")
    os.symlink(tmp_path / "elsewhere", tmp_path / "in/linked")
    os.symlink(tmp_path / "in", tmp_path / "in/loop")
    pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    assert [u.key for u in open_store(str(tmp_path / "s.zarr")).catalogue()] == ["b", "linked/a"]


def test_a_second_packing_to_the_same_output_is_refused(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/a.wav")
    with open(tmp_path / "s.zarr.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OwnedError, match="another process"):
            pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC)
    pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)


def test_an_output_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/a.wav")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        pack_audio(str(tmp_path / "in"), str(tmp_path / "file/s.zarr"), SPEC)


def test_a_full_disk_is_a_storage_error_and_packing_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tone(tmp_path / "in/a.wav")

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_durably", full)
        with pytest.raises(StorageError, match="No space left"):
            pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    assert not (tmp_path / "s.zarr").exists()
    assert pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1).utterances == 1


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_gone(pids: list[int]) -> bool:
    """Whether the processes end; waits for them, since the parent's death reaches them a moment later."""
    deadline = time.monotonic() + 30
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.mark.usefixtures("_small_shards")
def test_a_killed_packing_is_resumed_and_equals_one_never_killed(tmp_path: Path) -> None:
    out = tmp_path / "s.zarr"
    process = start_packing(PROMPTS, out, ready_at=15, pause=600)
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()[1:]]
    process.kill()
    process.communicate()
    assert len(workers) == 2
    assert all_gone(workers)
    assert not out.exists()
    shard = tmp_path / "s.zarr.partial/store/mel/c/0/0"
    written = shard.stat()
    result = pack_audio(str(PROMPTS), str(out), SPEC, workers=2)
    assert 0 < result.kept <= 15
    assert result.restarted is None
    kept = (out / "mel/c/0/0").stat()
    assert (kept.st_ino, kept.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    pack_audio(str(PROMPTS), str(tmp_path / "never_killed.zarr"), SPEC, workers=1)
    assert contents(out) == contents(tmp_path / "never_killed.zarr")
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob("*.lock"))


@pytest.mark.usefixtures("_small_shards")
def test_ctrl_c_leaves_the_work_to_be_resumed_and_no_process_or_traceback(tmp_path: Path) -> None:
    out = tmp_path / "s.zarr"
    process = start_packing(PROMPTS, out, ready_at=15, pause=600)
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()[1:]]
    os.killpg(process.pid, signal.SIGINT)
    told, complaints = process.communicate(timeout=60)
    assert "InterruptedRunError" in told
    assert process.returncode == InterruptedRunError.exit_code
    assert complaints == ""
    assert all_gone(workers)
    assert not out.exists()
    assert pack_audio(str(PROMPTS), str(out), SPEC, workers=1).kept > 0


@pytest.mark.usefixtures("_small_shards")
@pytest.mark.parametrize("change", ["source", "spec", "analysis", "journal"])
def test_a_packing_of_something_else_is_begun_anew_and_says_why(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    for index in range(4):
        write_tone(tmp_path / f"in/{index}.wav", 10.0)
    spec = SPEC

    def stop(progress: PackProgress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="resume"):
        pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1, on_progress=stop)
    assert (tmp_path / "s.zarr.partial/store/mel/c/0/0").exists()
    if change == "source":
        write_tone(tmp_path / "in/2.wav", 11.0)
    elif change == "spec":
        spec = dataclasses.replace(SPEC, fmax=7000.0)
    elif change == "analysis":  # as if it had been begun where no kernel can be compiled
        journal = tmp_path / "s.zarr.partial/journal.jsonl"
        assert '"mel analysis": "kernels"' in journal.read_text()
        journal.write_text(journal.read_text().replace('"mel analysis": "kernels"', '"mel analysis": "numpy"'))
    else:
        (tmp_path / "s.zarr.partial/journal.jsonl").write_text("{\n")
    result = pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), spec, workers=1)
    assert result.restarted is not None
    words = {"source": "sources", "spec": "parameters", "analysis": "versions", "journal": "journal"}
    assert words[change] in result.restarted
    assert (result.kept, result.utterances) == (0, 4)
    pack_audio(str(tmp_path / "in"), str(tmp_path / "fresh.zarr"), spec, workers=1)
    assert contents(tmp_path / "s.zarr") == contents(tmp_path / "fresh.zarr")


@pytest.mark.usefixtures("_small_shards")
def test_a_packing_stopped_at_any_file_ends_the_same(tmp_path: Path) -> None:
    for index in range(6):
        write_tone(tmp_path / f"in/{index}.wav", 7.0 + index)
    write_tone(tmp_path / "in/3b.wav", 60.0)  # over several shards
    (tmp_path / "in/2b.wav").write_text("no audio")
    pack_audio(str(tmp_path / "in"), str(tmp_path / "whole.zarr"), SPEC, workers=1)
    kept = []
    for last in (2, 4, 5, 7):

        def stop(progress: PackProgress, last: int = last) -> None:
            if progress.done == last:
                raise KeyboardInterrupt

        with pytest.raises(InterruptedRunError):
            pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1, on_progress=stop)
        with open(tmp_path / "s.zarr.partial/journal.jsonl", "a") as journal:
            journal.write('{"key": "torn')
    result = pack_audio(
        str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1, on_progress=lambda p: kept.append(p.kept)
    )
    assert kept[0] == result.kept > 5
    assert len(result.failures) == 1
    assert contents(tmp_path / "s.zarr") == contents(tmp_path / "whole.zarr")


_MEASURED = """
import resource, sys
from pipeline.melspec import MelSpec
from pipeline.pack import pack_source
spec = MelSpec(16000, 512, 256, 512, 20, 0.0, 8000.0, "slaney", "slaney", 1, "ln", 1e-5, "same")
result = pack_source(sys.argv[1], sys.argv[2], spec, "audio", workers=1)
peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(result.frames, *peaks)
"""


def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path: Path) -> None:
    peaks = {}
    for minutes in (18, 60):
        path = tmp_path / f"in{minutes}/long.wav"
        path.parent.mkdir()
        with soundfile.SoundFile(path, "w", 16000, 1) as file:
            block = np.random.default_rng(0).uniform(-0.1, 0.1, 16000 * 60).astype(np.float32)
            for _ in range(minutes):
                file.write(block)
        command = [sys.executable, "-c", _MEASURED, str(path.parent), str(tmp_path / f"{minutes}.zarr")]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(told[0]) == minutes * 60 * 16000 // 256
        peaks[minutes] = np.array(told[1:], int)  # of the parent and of the worker [KiB]
        path.unlink()
    # 42 more minutes are 161 MB of samples and 13 MB of mel.
    assert (peaks[60] - peaks[18] < 16_000).all()


def test_float_audio_in_the_range_of_integers_is_named_and_the_others_packed(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/good.wav")
    tone, _ = soundfile.read(tmp_path / "in/good.wav", dtype="float32")
    loud = {"int16": 32768, "int24": 2**23, "unscaled": 1e12, "margin": 15 / np.abs(tone).max()}
    for name, factor in loud.items():
        soundfile.write(tmp_path / f"in/{name}.wav", tone * np.float32(factor), 22050, subtype="FLOAT")
    both = np.stack([tone, 65536 * tone], axis=1)
    soundfile.write(tmp_path / "in/one-channel.wav", both, 22050, subtype="FLOAT")
    result = pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    reasons = {failure.path: failure.reason for failure in result.failures}
    assert set(reasons) == {"int16.wav", "int24.wav", "unscaled.wav", "one-channel.wav"}
    assert result.utterances == 2  # 24 dB over full scale may be a mistake, and has a mel
    assert re.match(r"sample \d+ is [\d.]+, \d\d dB over full scale, .* divide them by 32768$", reasons["int16.wav"])
    assert reasons["int24.wav"].endswith("integers of 24 bits: divide them by 8388608")
    assert reasons["unscaled.wav"].endswith("no audio is that loud")


def test_all_failures_are_listed_beside_the_store_until_a_packing_without_any(tmp_path: Path) -> None:
    for number in range(8):
        write_tone(tmp_path / f"in/{number}.wav", 0.3)
        if number < 7:
            (tmp_path / f"in/{number}.wav").write_bytes(b"RIFF nothing")
    listed = tmp_path / "s.zarr.failures.jsonl"
    result = pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    rows = [json.loads(line) for line in listed.read_text().splitlines()]
    assert rows == [{"path": each.path, "reason": each.reason} for each in result.failures]
    assert json.loads(json.dumps(result.to_dict()))["failures"] == rows
    assert [row["path"] for row in rows] == [f"{number}.wav" for number in range(7)]
    for number in range(7):
        write_tone(tmp_path / f"in/{number}.wav", 0.3)
    shutil.rmtree(tmp_path / "s.zarr")
    pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    assert not listed.exists()


def test_if_nothing_can_be_packed_the_error_says_where_all_reasons_are(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(7):
        (tmp_path / f"in/{number}.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(ConfigError, match=r"; and 2 more, in .*s.zarr.failures.jsonl"):
        pack_audio(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    assert len((tmp_path / "s.zarr.failures.jsonl").read_text().splitlines()) == 7
