"""Prefixes that wrappers put before the keys of a generator, such as `module.`: found, and taken off.

torch.nn.DataParallel, DistributedDataParallel and AveragedModel put `module.` before all keys. torch.compile puts
`_orig_mod.` before those of the module that it compiles, and FSDP and activation checkpointing have words of their own
(torch/distributed/fsdp/_common_utils.py, `clean_tensor_name`). Trainers name the generator in a larger model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.checkpoints.state_dict import State, some
from pipeline.errors import CheckpointError

# Words that may stand before any part of a key.
_ANYWHERE = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Words that stand before the whole key, and hold all that there is.
_AROUND = ("module", "_forward_module", "state_dict", *_ANYWHERE)
# Words that stand before the whole key of a generator, with discriminators or other copies beside it.
_NAMES = (
    *("model_g", "generator", "gen", "G", "model", "net", "net_g", "netG", "vocoder", "hifigan", "student"),
    *("ema", "ema_model", "model_ema", "averaged_model", "generator_ema", "ema_generator"),
)
_MOST_WORDS, _MOST_PREFIXES = 6, 64
# The only tensor beside the module in torch.optim.swa_utils.AveragedModel.
_BESIDE = {"n_averaged"}


def unwrapped(state: State, fits: Callable[[State], bool], where: str) -> State:
    """The generator's state dict without the prefixes of wrappers.

    Keys outside the prefix are dropped if it names the generator, since they are of discriminators. Otherwise they
    stay, and are refused as keys that nothing explains.

    Args:
        state: the state dict, in which wrappers and discriminators may be.
        fits: function that tells whether a state dict is that of a generator.
        where: the file's name, for messages.

    Returns:
        The state dict of the one prefix under which a generator is; `state` itself if it is a generator, or if there is
        none.

    Raises:
        CheckpointError: if generators are under several prefixes.
    """
    found = [prefix for prefix in _prefixes(state, where) if fits(_below(state, prefix, where))]
    if len(found) > 1:
        names = ", ".join(repr(_text(prefix)) if prefix else "no prefix" for prefix in found)
        raise CheckpointError(
            f"{where}: the keys of a generator are under several prefixes: {names}. melmill does not choose one. Save "
            "the tensors of one prefix alone"
        )
    if not found:
        return state
    (prefix,) = found
    below = _below(state, prefix, where)
    if any(word in _NAMES for word in prefix):
        return below
    beside = {key: value for key, value in state.items() if not _is_below(key, prefix) and key not in _BESIDE}
    return {**below, **beside}


def _prefixes(state: State, where: str) -> list[tuple[str, ...]]:
    """Every prefix made of the words of wrappers, as its words, the shortest first; the empty one too."""
    found: set[tuple[str, ...]] = {()}
    for key in state:
        words = []
        for word in key.split(".")[:_MOST_WORDS]:
            if word not in _AROUND and word not in _NAMES:
                break
            if word not in _ANYWHERE:
                words.append(word)
                found.add(tuple(words))
        if len(found) > _MOST_PREFIXES:
            names = some(sorted(_text(prefix) for prefix in found if prefix))
            raise CheckpointError(f"{where}: its keys have too many prefixes to find the generator: {names}")
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _below(state: State, prefix: tuple[str, ...], where: str) -> State:
    """The tensors below a prefix, by the rest of their keys."""
    below = {}
    for key, value in state.items():
        if not _is_below(key, prefix):
            continue
        rest = ".".join(list(_words(key))[len(prefix) :])
        if rest in below:
            raise CheckpointError(
                f"{where}: {rest:.60} is there twice, with and without one of {', '.join(_ANYWHERE)}. Save the model "
                "again, once"
            )
        below[rest] = value
    return below


def _is_below(key: str, prefix: tuple[str, ...]) -> bool:
    return tuple(_words(key))[: len(prefix)] == prefix


def _words(key: str) -> Iterator[str]:
    """The words of a key, without those that may stand anywhere."""
    return (word for word in key.split(".") if word not in _ANYWHERE)


def _text(prefix: tuple[str, ...]) -> str:
    return ".".join((*prefix, ""))
