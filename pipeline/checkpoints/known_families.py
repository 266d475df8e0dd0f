"""All families of checkpoints, and how the family of a state dict is recognized."""

from __future__ import annotations

from pipeline.checkpoints import bigvgan, hifigan, istftnet, parallel_wavegan, speechbrain, speecht5, vocos
from pipeline.checkpoints.family import Family
from pipeline.checkpoints.state_dict import State, some
from pipeline.errors import CheckpointError, ConfigError
from pipeline.wording import meant

FAMILIES: tuple[Family, ...] = (
    hifigan.FAMILY,
    istftnet.FAMILY,
    parallel_wavegan.FAMILY,
    speecht5.FAMILY,
    speechbrain.FAMILY,
    bigvgan.FAMILY,
    vocos.FAMILY,
)


def family(name: str) -> Family:
    """The family of that name.

    Raises:
        ConfigError: if there is no family of that name.
    """
    for each in FAMILIES:
        if each.name == name:
            return each
    names = [each.name for each in FAMILIES]
    raise ConfigError(
        f"--family {name}: there is no such family{meant(name, names)}; the families are {', '.join(names)}"
    )


def recognize(state: State, where: str) -> Family:
    """The family that a state dict belongs to.

    Args:
        state: the generator's state dict.
        where: the file's name, for messages.

    Raises:
        CheckpointError: if no family matches, or several do.
    """
    found = [each for each in FAMILIES if each.matches(state)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each in found)
        raise CheckpointError(f"{where}: its keys fit several families: {names}; choose one with --family")
    known = "; ".join(f"{each.name} ({each.title})" for each in FAMILIES)
    raise CheckpointError(
        f"{where}: its keys are of no known family: {some(sorted(state)) or 'it has no keys'}. "
        f"The known families are {known}"
    )
