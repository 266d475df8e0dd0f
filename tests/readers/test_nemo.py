"""NeMo's own readers: `LazyNeMoIterator`, `LazyNeMoTarredIterator`, and the tarred dataset of before lhotse."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lhotse import CutSet
from lhotse.dataset import DynamicBucketingSampler
from lhotse.dataset.dataloading import make_worker_init_fn
from lhotse.dataset.iterable_dataset import IterableDatasetWrapper
from nemo.collections.asr.data.audio_to_text import TarredAudioToCharDataset
from nemo.collections.common.data.lhotse.cutset import read_cutset_from_config
from nemo.collections.common.data.lhotse.nemo_adapters import LazyNeMoIterator, LazyNeMoTarredIterator
from omegaconf import DictConfig
from support.corpora import rows
from support.exporting import exported
from support.reader_outputs import HOSTILE_KEYS, assert_each_once_an_epoch, digests, pcm_sha256
from torch.utils.data import DataLoader, Dataset

from pipeline.errors import ConfigError
from pipeline.views.options import ExportOptions
from pipeline.views.receipt import Receipt
from pipeline.views.run import export

FLAG = {"skip_missing_manifest_entries": True}


@pytest.fixture(scope="module")
def alone(output_of: Callable[..., Path]) -> Path:
    """Tars with audio alone."""
    return output_of(sidecar="none")


def heard(cuts: Any) -> dict[str, str]:
    return {cut.key: pcm_sha256(cut.load_audio()) for cut in cuts}


def assert_told(cuts: Any, out: Path) -> None:
    """The cuts say what the manifest says, in its order."""
    for cut, row in zip(cuts, rows(out), strict=True):
        (supervision,) = cut.supervisions
        assert (cut.key, cut.num_samples, cut.sampling_rate) == (row["key"], row["num_samples"], row["sample_rate"])
        assert (supervision.text, supervision.language or "") == (row["text"], row["language"])
        assert (cut.speaker, cut.take) == (row["speaker"], row["meta"]["take"])


def tarred(folder: Path, **settings: Any) -> CutSet:
    """The tars of a split, as NeMo's documentation names them."""
    count = len(list(folder.glob("audio_*.tar")))
    expand = f"_OP_0..{count - 1}_CL_"
    return CutSet(
        LazyNeMoTarredIterator(
            f"{folder}/sharded_manifests/manifest_{expand}.json", f"{folder}/audio_{expand}.tar", **settings
        )
    )


@pytest.mark.parametrize("copied", [True, False])
def test_files_are_read_with_the_same_samples_and_texts(
    tars: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    out = tars if copied else files
    folder = exported(out, tmp_path / "nemo", "nemo", audio=copied, allow_empty_text=True)
    cuts = CutSet(LazyNeMoIterator(f"{folder}/train_manifest.json"))
    assert list(heard(cuts).items()) == list(digests(out).items())
    assert_told(cuts, out)
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "nemo").symlink_to(folder)  # seen through a link, as people have in their homes
    monkeypatch.chdir(tmp_path / "moved")
    assert heard(CutSet(LazyNeMoIterator("nemo/train_manifest.json"))) == digests(out)


@pytest.mark.parametrize("how", ["linked with the flag", "copied", "audio alone"])
def test_tars_are_read_with_the_same_samples_and_texts(tars: Path, alone: Path, tmp_path: Path, how: str) -> None:
    out = alone if how == "audio alone" else tars
    target = tmp_path / "nemo"
    exported(out, target, "nemo-tarred", audio=how == "copied", allow_empty_text=True)
    cuts = tarred(target / "train", **(FLAG if how == "linked with the flag" else {}))
    assert list(heard(cuts).items()) == list(digests(out).items())
    assert_told(cuts, out)
    assert len(cuts) == 24
    receipt = Receipt.of(target)
    assert receipt is not None
    assert any("skip_missing_manifest_entries: true" in note for note in receipt.notes) == (how[:4] == "link")
    assert all(path.is_symlink() == (how != "copied") for path in (target / "train").glob("audio_*.tar"))


def test_without_the_flag_nemo_stops_at_the_json_beside_the_audio(tars: Path, tmp_path: Path) -> None:
    folder = exported(tars, tmp_path / "nemo", "nemo-tarred", allow_empty_text=True) / "train"
    with pytest.raises(RuntimeError, match="Cannot locate JSON entry for tar file"):
        heard(tarred(folder))


def test_a_data_loader_of_a_configuration_finds_them(tars: Path, tmp_path: Path) -> None:
    folder = exported(tars, tmp_path / "nemo", "nemo-tarred", allow_empty_text=True) / "train"
    last = len(list(folder.glob("audio_*.tar"))) - 1
    config = {
        "manifest_filepath": f"{folder}/sharded_manifests/manifest__OP_0..{last}_CL_.json",
        "tarred_audio_filepaths": f"{folder}/audio__OP_0..{last}_CL_.tar",
        "force_finite": True,
        "shuffle": True,
        "shard_seed": 0,
        **FLAG,
    }
    cuts, is_tarred = read_cutset_from_config(DictConfig(config))
    assert is_tarred
    assert heard(cuts) == digests(tars)


class Heard(Dataset[list[tuple[str, str]]]):
    def __getitem__(self, cuts: CutSet) -> list[tuple[str, str]]:  # type: ignore[override]
        return list(heard(cuts).items())


def test_workers_share_the_files_and_see_each_utterance_once_an_epoch(files: Path, tmp_path: Path) -> None:
    folder = exported(files, tmp_path / "nemo", "nemo", allow_empty_text=True)
    cuts = CutSet(LazyNeMoIterator(f"{folder}/train_manifest.json"))
    sampler = DynamicBucketingSampler(cuts, max_duration=15, num_buckets=3, shuffle=True)

    def epoch(number: int) -> list[str]:
        sampler.set_epoch(number)
        batches = DataLoader(Heard(), sampler=sampler, batch_size=None, num_workers=2)
        found = [item for batch in batches for item in batch]
        assert dict(found) == digests(files)
        return [key for key, _ in found]

    assert_each_once_an_epoch(epoch, digests(files))


def test_shuffled_tars_in_a_worker_give_each_utterance_once_an_epoch(alone: Path, tmp_path: Path) -> None:
    folder = exported(alone, tmp_path / "nemo", "nemo-tarred", allow_empty_text=True) / "train"
    cuts = tarred(folder, shuffle_shards=True, shard_seed=1)
    sampler = DynamicBucketingSampler(cuts, max_duration=15, num_buckets=3, shuffle=True)
    dataset = IterableDatasetWrapper(Heard(), sampler, auto_increment_epoch=True)

    def epoch(number: int) -> list[str]:
        dataset.set_epoch(number)
        start = make_worker_init_fn(seed=number)
        batches = DataLoader(dataset, batch_size=None, num_workers=1, worker_init_fn=start)
        return [key for batch in batches for key, _ in batch]

    assert_each_once_an_epoch(epoch, digests(alone))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_tarred_dataset_of_before_lhotse_reads_the_tars_as_they_are(
    tars: Path, tmp_path: Path, workers: int
) -> None:
    folder = exported(tars, tmp_path / "nemo", "nemo-tarred", where="text <> ''") / "train"
    count = len(list(folder.glob("audio_*.tar")))
    dataset = TarredAudioToCharDataset(
        audio_tar_filepaths=[f"{folder}/audio_{i}.tar" for i in range(count)],
        manifest_filepath=f"{folder}/tarred_audio_manifest.json",
        labels=sorted({letter for row in rows(tars) for letter in row["text"].lower()}),
        sample_rate=22050,
        parser="base",
        return_sample_id=True,
    )
    told = [row for row in rows(tars) if row["text"]]
    found = [
        (int(number), pcm_sha256(samples.numpy()))
        for samples, _, _, _, number in DataLoader(dataset, batch_size=None, num_workers=workers)
    ]
    assert sorted(found) == [(number, row["pcm_sha256"]) for number, row in enumerate(told)]
    assert len(dataset) == len(told)


def test_splits_and_where_leave_others_of_a_tar_out(tars: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"split": (("train", 0.5), ("dev", 0.5)), "by": "key", "where": "text <> ''"}
    target = exported(tars, tmp_path / "nemo", "nemo-tarred", **options)
    train, dev = heard(tarred(target / "train", **FLAG)), heard(tarred(target / "dev", **FLAG))
    assert train
    assert dev
    assert not train.keys() & dev.keys()
    assert train | dev == {row["key"]: row["pcm_sha256"] for row in rows(tars) if row["text"]}


def test_missing_text_is_refused_with_the_keys(tars: Path, tmp_path: Path) -> None:
    first = [row["key"] for row in rows(tars) if not row["text"]][:5]
    for to in ("nemo", "nemo-tarred"):
        with pytest.raises(ConfigError, match="cannot say 6 utterances") as refused:
            export(str(tars), str(tmp_path / "nemo"), ExportOptions(to, audio=True))
        assert f"{', '.join(map(repr, first))} and 1 more: no text, which NeMo needs" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_hostile_keys_and_metadata_are_what_they_were(hostile: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'x-sub1': a key that ends with -sub and a number"):
        exported(hostile, tmp_path / "tarred", "nemo-tarred")
    target = exported(hostile, tmp_path / "tarred", "nemo-tarred", where="key <> 'x-sub1'", audio=True)
    found = heard(tarred(target / "train"))
    assert found == {key: digest for key, digest in digests(hostile).items() if key != "x-sub1"}
    folder = exported(hostile, tmp_path / "nemo", "nemo", audio=True)
    cuts = list(CutSet(LazyNeMoIterator(f"{folder}/train_manifest.json")))
    assert heard(cuts) == digests(hostile)
    assert [cut.key for cut in cuts] == list(HOSTILE_KEYS)
    told = {(cut.supervisions[0].text, cut.meta_offset, cut.meta_duration) for cut in cuts}
    assert told == {("several words", 3.5, 99.0)}
    assert {cut.meta_audio_filepath for cut in cuts} == {"/etc/passwd"}
    lines = [json.loads(line) for line in (folder / "train_manifest.json").read_text().splitlines()]
    assert {line["meta__skipme"] for line in lines} == {True}
