"""Packing a source: its kind, the corpus that the module of its kind lists, and the functions that pack it."""

from __future__ import annotations

import os
from typing import Literal

from pipeline.errors import ConfigError, StorageError
from pipeline.melspec import MelSpec
from pipeline.pack.audio import AUDIO_EXTENSIONS, audio_corpus
from pipeline.pack.folders import walk
from pipeline.pack.hdf5 import HDF5_EXTENSIONS, hdf5_corpus
from pipeline.pack.kaldi import FEATS, KALDI_EXTENSIONS, kaldi_corpus
from pipeline.pack.manifests import MANIFEST_EXTENSIONS, lhotse_corpus, manifest_kind, nemo_corpus
from pipeline.pack.matrices import Axis
from pipeline.pack.npy import NPY_EXTENSIONS, npy_corpus
from pipeline.pack.npz import NPZ_EXTENSIONS, npz_corpus
from pipeline.pack.result import OnProgress, PackResult
from pipeline.pack.run import pack
from pipeline.pack.sources import Corpus
from pipeline.pack.torch_mels import TORCH_EXTENSIONS, torch_corpus
from pipeline.pack.zarr_stores import zarr_corpus
from pipeline.stores.metadata_lists import Metadata
from pipeline.stores.zarr_arrays import DOCUMENT_NAMES

Kind = Literal["audio", "npy", "npz", "hdf5", "torch", "kaldi", "nemo", "lhotse", "zarr"]
_IN_FOLDERS: dict[Kind, frozenset[str]] = {
    "audio": AUDIO_EXTENSIONS,
    "npy": NPY_EXTENSIONS,
    "npz": NPZ_EXTENSIONS,
    "hdf5": HDF5_EXTENSIONS,
    "torch": TORCH_EXTENSIONS,
    "kaldi": KALDI_EXTENSIONS,
}


def pack_source(
    source: str,
    out: str,
    spec: MelSpec | None = None,
    kind: Kind | Literal["auto"] = "auto",
    axis: Axis = "auto",
    metadata: Metadata | None = None,
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> PackResult:
    """Packs mels, or the mels of audio, into the ragged store `out`.

    An utterance that cannot be packed (unreadable, cut off, empty, not finite) is left out and named in the result.
    Memory is bounded, whatever the size of the corpus and the length of a file; only a .pt or .npz mel is read whole.

    Mels are made in worker processes, also if there is only one: in a script, call this under
    `if __name__ == "__main__":`. The store is the same, byte for byte, for any number of workers.

    The store is `<out>.partial` until it is whole. After an interruption or a kill, the same call resumes there if the
    spec and the sources are the same, and starts from scratch otherwise.

    Args:
        source: path of a folder, list or archive, or URL of a mel store.
        out: local path of the new store.
        spec: mel contract; None if the source is a mel store that states its contract.
        kind: kind of the source; "auto" detects it, as `kind_of` does.
        axis: axis of a mel that comes first, for mels in files of their own.
        metadata: metadata of the utterances by key; its fields override those that the source has.
        workers: number of worker processes; 1 for this process alone, None for one per processor.
        on_progress: callback that is given the progress at the start and after each utterance.

    Raises:
        ConfigError: if `out` exists, there is no such source, two utterances get the same key, or none can be packed.
        OwnedError: if another process packs to `out`.
        StorageError: if `out` cannot be written, or the source's storage fails.
        InterruptedRunError: if Ctrl-C stopped the packing.
    """
    found: Kind = kind_of(source) if kind == "auto" else kind
    if axis != "auto" and found not in ("npy", "npz", "hdf5", "torch"):
        raise ConfigError(f"the order of axes in {found} is known; use --axis only for npy, npz, hdf5 and torch")
    return pack(corpus_of(source, spec, found, axis), out, metadata, workers, on_progress)


def corpus_of(source: str, spec: MelSpec | None, kind: Kind, axis: Axis = "auto") -> Corpus:
    """The corpus that `pack_source` packs. Arguments as there.

    Raises:
        ConfigError, StorageError: as `pack_source`.
    """
    if kind == "zarr":
        return zarr_corpus(source, spec)
    if spec is None:
        raise ConfigError(f"{source} states no mel contract; give it (--mel: a preset's name or a YAML file)")
    match kind:
        case "audio":
            return audio_corpus(source, spec)
        case "npy":
            return npy_corpus(source, spec, axis)
        case "npz":
            return npz_corpus(source, spec, axis)
        case "hdf5":
            return hdf5_corpus(source, spec, axis)
        case "torch":
            return torch_corpus(source, spec, axis)
        case "kaldi":
            return kaldi_corpus(source, spec)
        case "nemo":
            return nemo_corpus(source, spec)
        case "lhotse":
            return lhotse_corpus(source, spec)


def kind_of(source: str) -> Kind:
    """The kind of a source, by its content and by the extensions of its files.

    Args:
        source: path of a folder, list or archive, or URL of a mel store.

    Raises:
        ConfigError: if the source is not there, its kind is not known, or it holds more than one kind.
        StorageError: if a folder cannot be listed.
    """
    if "://" in source or any(os.path.exists(os.path.join(source, name)) for name in DOCUMENT_NAMES):
        return "zarr"
    if os.path.isdir(source):
        return _kind_of_folder(source)
    if source.lower().endswith(".zip") and os.path.isfile(source):
        return "zarr"
    if not os.path.isfile(source):
        raise ConfigError(f"{source} does not exist; give a folder, an .scp, an .ark, a manifest or a mel store")
    if source.lower().endswith(tuple(f".{extension}" for extension in KALDI_EXTENSIONS)):
        return "kaldi"
    manifest = manifest_kind(source) if source.lower().endswith(MANIFEST_EXTENSIONS) else None
    if manifest is not None:
        return manifest
    raise ConfigError(
        f"the kind of {source} is not recognized; a manifest must be JSON lines of NeMo (audio_filepath) or of lhotse "
        "(cuts or recordings). For audio or mels give the folder of the files, or give the kind with --from"
    )


def _kind_of_folder(folder: str) -> Kind:
    if os.path.isfile(os.path.join(folder, FEATS)):
        return "kaldi"
    try:
        extensions = {os.path.splitext(path)[1][1:].lower() for path in walk(folder)}
    except OSError as exc:
        raise StorageError(f"{folder} cannot be listed: {exc}") from exc
    kinds = [kind for kind, known in _IN_FOLDERS.items() if extensions & known]
    if "npy" in kinds and "audio" in kinds:
        kinds.remove("audio")  # mels beside the audio that they were made from
    if "npz" in kinds and len(kinds) > 1:
        kinds.remove("npz")  # other features beside the mels or the audio
    if kinds == ["kaldi"]:
        raise ConfigError(f"{folder} holds Kaldi archives; give the .scp that lists them, or one .ark")
    if len(kinds) > 1:
        raise ConfigError(f"{folder} holds {' and '.join(kinds)}; choose one with --from")
    return kinds[0] if kinds else "audio"
