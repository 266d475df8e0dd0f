"""The report of an output says what its manifest says, and nothing that it must not."""

import base64
import hashlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import zarr
from report.conftest import BAD
from support.corpora import every_byte, rows
from support.reports import content_of, every_text, mels_of, page_of

from pipeline.dsp.mel import log_mel
from pipeline.errors import ConfigError, OwnedError, StorageError
from pipeline.melspec import MelSpec
from pipeline.output.layout import COMMIT_HEADS, RUNS
from pipeline.output.records import sealed_text
from pipeline.report import ReportOptions, manifest_scan, write_report
from pipeline.report.folder import ReportFolder
from pipeline.report.served_output import served_output


@pytest.fixture(scope="session")
def whole(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the output. Not to be changed."""
    return write_report(str(made / "audio"), tmp_path_factory.mktemp("reports") / "audio-report").folder


def test_the_first_screen_has_the_figures_of_the_manifest(whole: Path, made: Path) -> None:
    page, listed = page_of(whole), rows(made / "audio")
    found = page["summary"]
    assert (found["utterances"], found["failed"], found["shards"]) == (22, 2, len({row["shard"] for row in listed}))
    assert found["seconds"] == pytest.approx(sum(row["duration"] for row in listed))
    assert found["bytes"] == sum(row["bytes"] for row in listed)
    assert (found["speakers"], found["languages"]) == (6, 5)
    worst = max(listed, key=lambda row: row["mel_distance"])
    assert (found["mel_distance_worst"], found["mel_distance_worst_key"]) == (worst["mel_distance"], worst["key"])
    assert found["mel_distance_median"] == pytest.approx(np.median([row["mel_distance"] for row in listed]))
    assert page["output"]["name"] == "audio"
    assert page["output"]["vocoder"] == "tiny"


def test_the_verdict_names_what_is_wrong(whole: Path) -> None:
    page = page_of(whole)
    levels = {check["id"]: check["level"] for check in page["checks"]}
    assert levels["failures"] == levels["texts"] == levels["types"] == "look"
    assert levels["mel_distance"] == page["verdict"]["level"] == "bad"  # what the tiny vocoder says is noise
    assert page["verdict"]["text"].startswith("22 of 24 utterances were made; something is wrong:")


def test_lists_begin_with_the_worst_and_every_clip_is_the_audio_of_its_row(whole: Path, made: Path) -> None:
    page, listed = page_of(whole), rows(made / "audio")
    clips, lists = page["clips"], {each["id"]: each["clips"] for each in page["lists"]}
    for id_, field, sign in (("mel_distance", "mel_distance", -1), ("loud", "rms_dbfs", -1), ("quiet", "rms_dbfs", 1)):
        wanted = sorted(sign * row[field] for row in listed)[:20]
        assert [sign * clips[clip]["row"][field] for clip in lists[id_]] == pytest.approx(wanted)
    assert len(set(lists["random"])) == 20
    for clip in clips:
        row = listed[clip["number"]]
        assert clip["row"]["key"] == row["key"]
        assert clip["audio"]["note"] == ("" if row["key"] not in BAD else clip["audio"]["note"])
        with open(made / "audio" / row["shard"], "rb") as shard:
            shard.seek(row["offset"])
            assert (whole / clip["audio"]["file"]).read_bytes() == shard.read(row["bytes"])
        peaks = np.frombuffer(base64.b64decode(clip["audio"]["peaks"]), np.int8).reshape(300, 2)
        samples = soundfile.read(whole / clip["audio"]["file"], dtype="float32")[0]
        assert peaks.min() == pytest.approx(np.rint(samples.min() * 127), abs=1)
        assert peaks.max() == pytest.approx(np.rint(samples.max() * 127), abs=1)


def test_the_mels_of_a_clip_are_those_of_the_input_and_of_the_audio(whole: Path, made: Path) -> None:
    spec = MelSpec.from_dict(json.loads((made / "audio" / "job.json").read_text())["vocoder"]["mel"])
    group = zarr.open_group(made / "mels.zarr", mode="r")
    offsets: Any = group["offsets"]
    keys = list(map(str, group["keys"]))  # type: ignore[arg-type]
    mel: Any = group["mel"]
    for clip in page_of(whole)["clips"][:4]:
        header, (given, sounds) = mels_of(whole, clip["audio"]["detail"])
        at = keys.index(clip["row"]["key"])
        wanted = mel[int(offsets[at]) : int(offsets[at + 1])].T
        step = (header["hi"] - header["lo"]) / 255
        assert given * step + header["lo"] == pytest.approx(np.clip(wanted, header["lo"], None), abs=step)
        of_audio = log_mel(soundfile.read(whole / clip["audio"]["file"], dtype="float32")[0], spec)
        assert sounds * step + header["lo"] == pytest.approx(np.clip(of_audio, header["lo"], None), abs=step)
        assert header["distance"] == pytest.approx(clip["row"]["mel_distance"], rel=0.01)


def test_failures_are_grouped_by_reason_with_the_way_out(whole: Path) -> None:
    (group,) = page_of(whole)["failures"]
    assert (group["error"], group["count"]) == ("BadMelError", 2)
    assert group["reason"] == "utterance …: NaN in frame … (mel[…, …] of mels.zarr)"
    assert {each["key"] for each in group["examples"]} == set(BAD)
    assert group["what_to_do"].endswith("melmill retry audio")


def test_hours_metadata_and_texts_are_those_of_the_rows(whole: Path, made: Path) -> None:
    page, listed = page_of(whole), rows(made / "audio")
    shares = {each["field"]: each for each in page["groups"]}
    for value in shares["language"]["values"]:
        own = [row for row in listed if row["language"] == value["value"]]
        assert value["utterances"] == len(own)
        assert value["seconds"] == pytest.approx(sum(row["duration"] for row in own))
        assert value["mel_distance"] == pytest.approx(np.mean([row["mel_distance"] for row in own]))
    assert "meta.take" not in shares  # every utterance has another one
    fields = {each["field"]: each for each in page["metadata"]["fields"]}
    texts = [row["text"] for row in listed if row["text"]]
    assert fields["text"]["present"] == len(texts) == page["texts"]["utterances"]
    assert "a number in 1 row and text in 23" in fields["speaker"]["note"]
    assert dict(page["texts"]["alphabet"])["e"] == "".join(texts).count("e")
    assert page["texts"]["vocabulary"] == len(set(" ".join(texts).split()))


def test_what_changed_and_how_the_runs_went_come_from_their_records(whole: Path) -> None:
    page = page_of(whole)
    (trace,) = page["runs"]
    assert (trace["state"], trace["generation"], trace["utterances"], trace["failed"]) == ("finished", 2, 22, 2)
    (lane,) = trace["workers"]
    assert len(lane["spans"]) == trace["shards"] == page["summary"]["shards"]
    assert all(0 <= begin < end <= trace["elapsed"] + 1 for begin, end, *_ in lane["spans"])
    assert sum(trace["throughput"]["audio_seconds"]) == pytest.approx(page["summary"]["seconds"], abs=0.1)
    assert trace["stages"]["decode"] > 0
    assert (trace["retries"], trace["retries_total"]) == ([], 0)
    changes = page["changes"]
    assert [each["reason"].split()[0] for each in changes["reasons"]] == ["vocoder"]
    assert changes["before"]["utterances"] == 24
    assert page["superseded"]["total"] == changes["superseded"] == len(page["superseded"]["shards"]) > 0


def test_an_output_without_records_of_runs_says_that_nothing_is_recorded(output: Path, tmp_path: Path) -> None:
    """As outputs of early versions of melmill are; and heads that are lost are read from the commits."""
    shutil.rmtree(output / RUNS)
    (output / COMMIT_HEADS).unlink()
    for path in (output / "_melmill" / "commits").iterdir():
        head, _, rest = path.read_bytes().partition(b"\n")
        plain = json.loads(head[:-1] + b"}")
        plain["making"] = None
        body = json.dumps(plain).encode()[:-1] + b",\n" + rest.rpartition(b'"seal"')[0]
        path.write_bytes(body + b'"seal": "' + hashlib.blake2b(body, digest_size=16).hexdigest().encode() + b'"}\n')
    page = page_of(write_report(str(output), tmp_path / "report").folder)
    (trace,) = page["runs"]
    assert trace["shards"] == page["summary"]["shards"]
    for name in ("run_id", "state", "elapsed", "stages", "throughput", "workers", "retries"):
        assert trace[name] is None, name
    assert (page["changes"]["reasons"], page["changes"]["before"]) == (None, None)


def test_a_report_holds_nothing_private(output: Path, made: Path, tmp_path: Path) -> None:
    wanted = ReportOptions(rows="all")
    said = every_text(write_report(str(output), tmp_path / "elsewhere" / "report", wanted=wanted).folder)
    for private in (str(tmp_path), str(made), str(made.parent), "this process", "/home", "/tmp"):
        assert private not in said, private


def test_hostile_keys_and_texts_stay_texts(hostile: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    output, metas = hostile
    report = write_report(str(output), tmp_path / "report", wanted=ReportOptions(rows="all")).folder
    page = page_of(report)
    html = (report / "index.html").read_text("utf-8")
    data = html.partition('id="report">')[2].partition("</script>")[0]
    assert not re.search("[<>&\u2028\u2029]", data)
    assert html.count("<script>") == html.count("</script>") - 1 == 1
    keys = {meta["key"] for meta in metas}
    assert set(page["rows"]["columns"]["key"]) == {clip["row"]["key"] for clip in page["clips"]} == keys
    texts = {clip["row"]["key"]: clip["row"]["text"] for clip in page["clips"]}
    for meta in metas[:5]:
        assert texts[meta["key"]] == meta["text"]
    assert len(texts[metas[5]["key"]]) == 10_000
    assert page["rows"]["columns"]["meta.__proto__"] == ["polluted"] * 6
    chunk = json.loads(content_of(report, page["rows"]["chunks"][0]["file"]).decode("utf-8", "surrogatepass"))
    assert chunk == page["rows"]["columns"]
    assert {path.name for path in report.iterdir()} == {"index.html", "report.json", "clips", "rows"}
    assert all(re.fullmatch(r"\d{4}\.(js|flac)", path.name) for path in (report / "clips").iterdir())


def test_the_same_output_gives_the_same_report(made: Path, whole: Path, tmp_path: Path) -> None:
    again = write_report(str(made / "audio"), tmp_path / "again").folder
    one, other = page_of(whole), page_of(again)
    assert {**one, "made": ""} == {**other, "made": ""}
    assert {path.name: path.read_bytes() for path in (whole / "clips").iterdir()} == {
        path.name: path.read_bytes() for path in (again / "clips").iterdir()
    }
    seeded = page_of(write_report(str(made / "audio"), tmp_path / "seeded", wanted=ReportOptions(seed=1)).folder)
    drawn = [next(each["clips"] for each in page["lists"] if each["id"] == "random") for page in (one, seeded)]
    assert [one["clips"][clip]["number"] for clip in drawn[0]] != [seeded["clips"][clip]["number"] for clip in drawn[1]]


def notes(report: Path) -> set[str]:
    return {clip["audio"]["note"] for clip in page_of(report)["clips"]}


def test_a_store_that_is_gone_or_not_wanted_leaves_the_mel_of_the_audio(
    made: Path, output: Path, tmp_path: Path
) -> None:
    report = write_report(str(output), tmp_path / "report", wanted=ReportOptions(store=False)).folder
    assert notes(report) == {"The mel that went in was not asked for."}
    header, mels = mels_of(report, page_of(report)["clips"][0]["audio"]["detail"])
    assert (header["input"], header["distance"], len(mels)) == (False, None, 1)
    hidden = made / "hidden.zarr"
    (made / "mels.zarr").rename(hidden)
    try:
        report = write_report(str(output), tmp_path / "report").folder
    finally:
        hidden.rename(made / "mels.zarr")
    (note,) = notes(report)
    assert note.startswith("The store cannot be read: ")
    assert str(made) not in note


def test_a_mel_that_is_no_longer_the_one_that_was_vocoded_is_not_shown(
    made: Path, output: Path, tmp_path: Path
) -> None:
    """Its rows were changed in place, or it was packed again."""
    moved = Path(shutil.copytree(made / "mels.zarr", tmp_path / "mels.zarr"))
    group = zarr.open_group(moved, mode="r+")
    mel, digests, offsets = (group[name] for name in ("mel", "digests", "offsets"))
    keys = list(map(str, group["keys"]))  # type: ignore[arg-type]
    first, second = (keys.index(row["key"]) for row in rows(output)[:2])
    mel[int(offsets[first])] = mel[int(offsets[first])] + 0.5  # type: ignore[index, operator]
    digests[second] = 7  # type: ignore[index]
    job = output / "job.json"
    text = job.read_text().replace(str(made / "mels.zarr"), str(moved))
    plain = json.loads(text)
    del plain["seal"]
    job.write_bytes(sealed_text(plain))
    report = write_report(str(output), tmp_path / "report").folder
    found = {clip["number"]: clip["audio"]["note"] for clip in page_of(report)["clips"]}
    assert "its digest is another one" in found[0]
    assert found[1] == "The mel in the store is not the one that it was made from."
    assert set(found.values()) == {found[0], found[1], ""}


def test_audio_that_is_gone_or_damaged_is_said_and_the_rest_is_shown(output: Path, tmp_path: Path) -> None:
    listed = rows(output)
    lost = listed[0]["shard"]
    (output / lost).unlink()
    hurt = next(row for row in listed if row["shard"] != lost)
    with open(output / hurt["shard"], "r+b") as shard:
        shard.seek(hurt["offset"])
        shard.write(b"no FLAC")
    page = page_of(write_report(str(output), tmp_path / "report").folder)
    for clip in page["clips"]:
        audio = clip["audio"]
        if clip["row"]["shard"] == lost:
            assert f"{lost} is not there" in audio["note"]
        elif clip["row"]["key"] == hurt["key"]:
            assert audio["note"].startswith("Its audio cannot be read")
            assert str(tmp_path) not in audio["note"]
        else:
            assert audio["file"]
            continue
        assert (audio["file"], audio["detail"], audio["peaks"]) == (None, None, "")


def test_audio_that_decodes_to_other_samples_is_played_with_a_warning(output: Path, tmp_path: Path) -> None:
    listed = rows(output)
    row = listed[0]
    samples = np.zeros(row["num_samples"], np.float32)
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, row["sample_rate"], format="FLAC", subtype="PCM_16")
    with open(output / row["shard"], "r+b") as shard:
        shard.seek(row["offset"])
        shard.write(encoded.getvalue()[: row["bytes"]])
    page = page_of(write_report(str(output), tmp_path / "report").folder)
    (audio,) = (clip["audio"] for clip in page["clips"] if clip["number"] == 0)
    assert audio["file"]
    assert "is not the one that was written" in audio["note"]
    assert audio["silence"] == [round(row["duration"], 2)] * 3


def test_a_manifest_that_is_replaced_while_it_is_read_is_no_report(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned = manifest_scan.scan_manifest

    def scan(*arguments: Any) -> Any:
        found = scanned(*arguments)
        with open(output / "manifest.jsonl", "r+b") as manifest:  # the same inode: as an object store gives the new one
            manifest.seek(manifest.readline().index(b": ") + 1)
            manifest.write(b"\t")
        return found

    monkeypatch.setattr("pipeline.report.one_output.scan_manifest", scan)
    with pytest.raises(StorageError, match="was replaced while it was read"):
        write_report(str(output), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_report_is_replaced_whole_and_nothing_else_is(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "report"
    write_report(str(made / "audio"), target, wanted=ReportOptions(clips=3))
    (target / "stray").write_text("of before")
    assert write_report(str(made / "audio"), target, wanted=ReportOptions(clips=1)).folder == target
    assert not (target / "stray").exists()
    assert list(tmp_path.iterdir()) == [target]
    before = every_byte(target)
    with ReportFolder(target, []) as folder:
        folder.write("half", b"")  # and then the process ends, without `finish`
    assert every_byte(target) == before
    with ReportFolder(target, []), pytest.raises(OwnedError, match="another process is making a report"):
        write_report(str(made / "audio"), target)


def test_a_folder_that_is_no_report_is_left_alone(made: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    write_report(str(made / "audio"), mine, wanted=ReportOptions(clips=0))  # it was empty
    (mine / "report.json").unlink()
    before = every_byte(mine)
    with pytest.raises(ConfigError, match="is not a report of melmill"):
        write_report(str(made / "audio"), mine)
    assert every_byte(mine) == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="is a file"):
        write_report(str(made / "audio"), tmp_path / "file")
    for inside in ("data/report", "_melmill/report"):
        with pytest.raises(ConfigError, match="only runs write"):
            write_report(str(made / "audio"), made / "audio" / inside)
    with pytest.raises(ConfigError, match="is not a report"):
        write_report(str(made / "audio"), made / "audio")


def test_no_output_and_nothing_published_are_said(tmp_path: Path, output: Path) -> None:
    with pytest.raises(ConfigError, match="no melmill output"):
        write_report(str(tmp_path), tmp_path / "report")
    (output / "manifest.jsonl").unlink()
    with pytest.raises(ConfigError, match="no run has published"):
        write_report(str(output), tmp_path / "report")
    (output / "manifest.jsonl").write_text('{"key": "a"}\n')
    with pytest.raises(StorageError, match=r"line 1 of .*manifest.* is not a valid row"):
        write_report(str(output), tmp_path / "report")


@pytest.mark.parametrize(
    "change", [{"shard": "../../../etc", "member": "passwd"}, {"shard": "/etc/passwd.tar"}, {"member": "../../up.flac"}]
)
def test_a_row_whose_names_lead_elsewhere_is_neither_reported_on_nor_served(
    output: Path, tmp_path: Path, change: dict[str, str]
) -> None:
    first, *others = (output / "manifest.jsonl").read_text().splitlines()
    (output / "manifest.jsonl").write_text("\n".join([json.dumps(json.loads(first) | change), *others]) + "\n")
    with pytest.raises(StorageError, match=r"line 1 of .*its audio is said to be at"):
        write_report(str(output), tmp_path / "report")
    with pytest.raises(StorageError, match=r"line 1 of .*its audio"), served_output(str(output)):
        raise AssertionError("it was opened")


def test_an_output_of_a_manifest_without_rows_has_a_report(output: Path, tmp_path: Path) -> None:
    (output / "manifest.jsonl").write_text("")
    page = page_of(write_report(str(output), tmp_path / "report").folder)
    assert (page["summary"]["utterances"], page["rows"]["total"], page["clips"]) == (0, 0, [])
    assert page["verdict"]["level"] == "bad"  # it is not the manifest that was published
