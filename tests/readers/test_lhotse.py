"""lhotse reads exports to `lhotse` and `lhotse-shar`: manifests, samples, samplers, workers and ranks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet, RecordingSet, SupervisionSet, load_manifest, validate
from lhotse.dataset import DynamicBucketingSampler
from lhotse.dataset.dataloading import make_worker_init_fn
from lhotse.dataset.iterable_dataset import IterableDatasetWrapper
from support.corpora import rows
from support.reader_outputs import HOSTILE_KEYS, assert_each_once_an_epoch, digests, pcm_sha256
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import ConfigError
from pipeline.views.options import ExportOptions
from pipeline.views.run import export


def exported(out: Path, target: Path, to: str = "lhotse", **options: Any) -> Path:
    export(str(out), str(target), ExportOptions(to, **options))
    return target


@pytest.fixture(scope="module", params=["tars", "files", "copied"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An output and its export: audio in tars, in files, and copied out of tars."""
    out = request.getfixturevalue("files" if request.param == "files" else "tars")
    target = tmp_path_factory.mktemp("lhotse") / request.param
    return out, exported(out, target, audio=request.param == "copied")


@pytest.fixture(scope="module")
def shar(tars: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tars, tmp_path_factory.mktemp("shar") / "shar", "lhotse-shar")


def heard(cuts: Iterable[Any]) -> dict[str, str]:
    """PCM digest by id, in order."""
    return {cut.id: pcm_sha256(cut.load_audio()) for cut in cuts}


def assert_told(cuts: CutSet, out: Path) -> None:
    """The cuts say what the manifest says."""
    for cut, row in zip(cuts, rows(out), strict=True):
        (supervision,) = cut.supervisions
        assert (cut.id, cut.num_samples, cut.sampling_rate) == (row["key"], row["num_samples"], row["sample_rate"])
        told = (supervision.text, supervision.speaker, supervision.language)
        assert told == tuple(row[name] or None for name in ("text", "speaker", "language"))
        assert supervision.custom == row["meta"]
        assert (cut.pcm_sha256, cut.mel_distance) == (row["pcm_sha256"], row["mel_distance"])


def test_manifests_are_read_with_the_same_samples_and_texts(made: tuple[Path, Path]) -> None:
    out, target = made
    cuts = CutSet.from_file(target / "cuts_train.jsonl.gz")
    validate(cuts, read_data=True)
    assert heard(cuts) == digests(out)
    assert list(heard(cuts)) == list(digests(out))
    assert_told(cuts, out)
    kinds = {"recordings": RecordingSet, "supervisions": SupervisionSet, "cuts": CutSet}
    for name, kind in kinds.items():
        manifest = load_manifest(target / f"{name}_train.jsonl.gz")
        assert isinstance(manifest, kind)
        validate(manifest)
        assert [each.id for each in manifest] == list(digests(out))


def test_recordings_and_supervisions_make_the_same_cuts(made: tuple[Path, Path]) -> None:
    out, target = made
    recordings, supervisions = (load_manifest(target / f"{n}_train.jsonl.gz") for n in ("recordings", "supervisions"))
    cuts = CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    assert [cut.supervisions[0].id for cut in cuts] == list(digests(out))
    assert [cut.recording_id for cut in cuts] == list(digests(out))


class Heard(Dataset[list[tuple[str, str]]]):
    """What a batch of cuts sounds like."""

    def __getitem__(self, cuts: CutSet) -> list[tuple[str, str]]:  # type: ignore[override]
        return list(heard(cuts).items())


def sampled(cuts: CutSet, **settings: Any) -> DynamicBucketingSampler:
    return DynamicBucketingSampler(cuts, max_duration=15, num_buckets=3, shuffle=True, **settings)


def test_buckets_and_two_workers_give_each_utterance_once_an_epoch(made: tuple[Path, Path]) -> None:
    out, target = made
    sampler = sampled(CutSet.from_file(target / "cuts_train.jsonl.gz"))

    def epoch(number: int) -> list[str]:
        sampler.set_epoch(number)
        batches = DataLoader(Heard(), sampler=sampler, batch_size=None, num_workers=2)
        found = [item for batch in batches for item in batch]
        assert dict(found) == digests(out)
        return [key for key, _ in found]

    assert_each_once_an_epoch(epoch, digests(out))


def test_ranks_share_the_utterances(made: tuple[Path, Path]) -> None:
    out, target = made
    cuts = CutSet.from_file(target / "cuts_train.jsonl.gz")
    found = [cut.id for rank in range(2) for batch in sampled(cuts, rank=rank, world_size=2) for cut in batch]
    assert sorted(found) == sorted(digests(out))


def test_a_shar_is_read_with_the_same_samples_and_texts(shar: Path, tars: Path) -> None:
    cuts = CutSet.from_shar(in_dir=shar / "train")
    assert len(cuts) == 24
    assert list(heard(cuts).items()) == list(digests(tars).items())
    validate(cuts.to_eager(), read_data=True)
    assert_told(cuts, tars)


@pytest.mark.parametrize("world_size", [1, 2])
def test_workers_and_ranks_share_a_shar(
    shar: Path, tars: Path, world_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(world_size))

    def of_rank(number: int, rank: int) -> list[str]:
        monkeypatch.setenv("RANK", str(rank))
        cuts = CutSet.from_shar(in_dir=shar / "train", shuffle_shards=True, split_for_dataloading=True, seed=number)
        dataset = IterableDatasetWrapper(Heard(), sampled(cuts, rank=0, world_size=1))
        start = make_worker_init_fn(seed=number)
        batches = DataLoader(dataset, batch_size=None, num_workers=2, worker_init_fn=start)
        found = [item for batch in batches for item in batch]
        assert dict(found).items() <= digests(tars).items()
        return [key for key, _ in found]

    def epoch(number: int) -> list[str]:
        return [key for rank in range(world_size) for key in of_rank(number, rank)]

    assert_each_once_an_epoch(epoch, digests(tars))


def test_hostile_keys_and_metadata_are_what_they_were(hostile: Path, tmp_path: Path) -> None:
    cuts = CutSet.from_file(exported(hostile, tmp_path / "lhotse") / "cuts_train.jsonl.gz").to_eager()
    assert heard(cuts) == digests(hostile)
    assert set(digests(hostile)) == set(HOSTILE_KEYS)
    (custom,) = {repr(cut.supervisions[0].custom | {"number": 0}) for cut in cuts}
    assert "'width': '{\"width\": 3}'" in custom


def test_keys_that_a_shar_cannot_have_are_refused_and_all_others_are_read(hostile: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'a//b', '/root', '\.\./up': a key that is no plain relative path"):
        exported(hostile, tmp_path / "all", "lhotse-shar")
    where = "key not in ('a//b', '/root', '../up')"
    shar = exported(hostile, tmp_path / "some", "lhotse-shar", where=where) / "train"
    wanted = {key: digest for key, digest in digests(hostile).items() if key not in ("a//b", "/root", "../up")}
    assert heard(CutSet.from_shar(in_dir=shar)) == wanted
