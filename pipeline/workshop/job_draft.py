"""What a new job needs to know of its store: layout, mel contract, and the vocoder that takes such mels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.config import FramingChange
from pipeline.errors import ConfigError, ContractError
from pipeline.melspec import PRESETS, MelSpec, mel_spec, preset_names
from pipeline.stores import inspect_store, open_store
from pipeline.stores.opening import open_for_inspection
from pipeline.stores.store_report import StoreReport
from pipeline.vocoders.registry import (
    DEFAULT_VOCODER,
    GRIFFIN_LIM,
    HIFIGAN_FILES,
    NAMES,
    hifigan_checkpoint,
    load_vocoder,
)


@dataclass(frozen=True)
class JobDraft:
    """Values for a job file, and why they are so.

    Args:
        values: key of the job -> value that is not the default.
        notes: key of the job -> lines that say why.
    """

    values: Mapping[str, str | bool]
    notes: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class FittingVocoder:
    """A vocoder that takes mels of a contract.

    Args:
        name: name of the vocoder.
        convert: whether the logarithm, the floor or the normalization of the mels must be converted.
        framing: what is done with their frames.
    """

    name: str
    convert: bool = False
    framing: FramingChange = "exact"


def draft_job(store: str, named: str | None = None, spec: MelSpec | None = None) -> JobDraft:
    """What `inspect` finds in a store, as values of a job.

    Args:
        store: path or URL of the store, as the user gives it.
        named: name of the contract of its mels, as the user gives it; None for that of the store.
        spec: contract of its mels that `named` stands for; None if `named` is.

    Raises:
        StoreError: if there is no store, or it cannot be read without guessing.
        ContractError: if its contract is not known, or its values contradict it.
        StorageError: if storage cannot be reached.
    """
    opened = open_for_inspection(store, "auto") if spec is None else open_store(store, "auto", spec)
    report = inspect_store(opened, spec)
    looks = report.looks
    if looks is not None and looks.contradicted:
        raise ContractError(
            f"the values in {store} contradict the mel contract that is stated for them: "
            f"{'; '.join(looks.contradicted)}. They fit {', '.join(looks.fits) or 'no preset'}; name the contract "
            "with --mel, or pack the store again"
        )
    mel, why = "auto", "The store states it"
    if opened.spec is None:
        mel, why = (named, "It was given with --mel") if named is not None else (_by_values(report), "By its values")
    contract = opened.spec or spec or mel_spec(mel)
    vocoder = fitting_vocoder(contract)
    names = " = ".join(preset_names(contract)) or f"{contract.sample_rate} Hz, {contract.n_mels} bands"
    return JobDraft(
        {
            "input.store": store,
            "input.layout": report.layout,
            "input.mel": mel,
            "input.convert": vocoder.convert,
            "input.framing": vocoder.framing,
            "vocoder.name": vocoder.name,
        },
        {
            "input.store": [f"There: {report.description}"],
            "input.mel": [f"{why}: {names}"],
            "vocoder.name": [f"It takes these mels. Vocoders: {', '.join(NAMES)}"],
        },
    )


def _by_values(report: StoreReport) -> str:
    """The preset that the values of a store fit, if there is only one such contract. Otherwise none is assumed."""
    fits = report.looks.fits if report.looks is not None else ()
    if len({PRESETS[name] for name in fits}) != 1:
        raise ContractError(
            f"{report.url} states no mel contract, and its values fit {', '.join(fits) or 'no preset'}: name the "
            "contract with --mel, a preset or a YAML file; melmill inspect says more"
        )
    return fits[0]


def fitting_vocoder(spec: MelSpec) -> FittingVocoder:
    """The vocoder of melmill that takes mels of a contract with the least changes to them.

    Those that take them as they are come first, then those for which they are converted exactly, then those for which
    their frames are moved by half a hop. Griffin-Lim, which takes any mel, is the last resort.
    """
    nets = (DEFAULT_VOCODER, *(name for name in NAMES if name not in (DEFAULT_VOCODER, GRIFFIN_LIM)))
    fits = sorted(_fits(nets, spec), key=lambda each: (each.framing != "exact", each.convert))
    return fits[0] if fits else FittingVocoder(GRIFFIN_LIM)


def _fits(names: Sequence[str], spec: MelSpec) -> Iterator[FittingVocoder]:
    for name in names:
        try:
            remedies = {each.field: each.remedy for each in spec.compare(_spec_of(name, spec))}
        except ConfigError:  # it cannot be used here
            continue
        impossible = {field for field, remedy in remedies.items() if remedy == "impossible"}
        if impossible <= {"framing"}:
            yield FittingVocoder(name, "exact" in remedies.values(), "shift" if impossible else "exact")


def _spec_of(name: str, spec: MelSpec) -> MelSpec:
    """The contract that a vocoder takes, for mels of a contract at hand. No net is loaded for HiFi-GAN."""
    if name in HIFIGAN_FILES:
        return HifiganConfig.read(hifigan_checkpoint(name)[1]).mel_spec()
    return load_vocoder(name, spec).spec
