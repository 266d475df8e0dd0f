"""The command `melmill doctor`."""

from __future__ import annotations

import json
from collections import Counter

import typer

from pipeline.cli.options import Json
from pipeline.cli.printing import size
from pipeline.errors import ConfigError
from pipeline.planning.versions import installed
from pipeline.wording import counted
from pipeline.workshop.installation import Cache, Installation, Speed, examine


def doctor(as_json: Json = False) -> None:
    """Show what melmill has to work with here, and how fast it is.

    That is the versions of libraries, the processor, what is compiled for it, where compiled code is kept, what is not
    as fast as it can be, and why. The speeds are seconds of audio for each second of CPU time on one core, measured
    with a second of speech.

    Exit codes: 2 a vocoder that comes with melmill cannot be used here.

    Example:
        melmill doctor
    """
    found = examine(installed())
    if as_json:
        print(json.dumps(found.to_dict()))
    else:
        versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
        print(f"versions   {versions}")
        print(f"processor  {found.processor}, {counted(found.cores, 'core')}")
        print(f"kernels    {_kernels(found)}")
        print(f"cache      {_cache(found.cache)}")
        for line in _compiled(found.cache):
            print(f"compiled   {line}")
        for each in found.speeds:
            print(_speed(each))
    if any(each.problem for each in found.speeds):
        raise typer.Exit(ConfigError.exit_code)


def _kernels(found: Installation) -> str:
    if not found.kernels:
        return f"none: {found.kernels_problem}. What has another way takes it: HiFi-GAN runs in onnxruntime"
    if found.kernels_problem:
        return f"for {found.kernels}: {found.kernels_problem}"
    return f"for {found.kernels}"


def _cache(found: Cache) -> str:
    if not found.folder:
        return f"none: {found.problem}. Set MELMILL_CACHE to a folder that you can write"
    if found.problem:
        return f"{found.folder} cannot be used: {found.problem}"
    return f"{found.folder}, {counted(found.files, 'file')}, {size(found.bytes)}"


def _compiled(found: Cache) -> list[str]:
    """For each target the names of the recipes that were compiled, with their number if there are several."""
    names: dict[str, Counter[str]] = {}
    for each in found.code:
        names.setdefault(each.target, Counter())[each.recipe.partition("(")[0]] += 1
    return [
        f"for {target}: "
        + ", ".join(name + (f" ({count})" if count > 1 else "") for name, count in sorted(each.items()))
        for target, each in names.items()
    ]


def _speed(each: Speed) -> str:
    if each.times_real_time is None:
        return f"speed      {each.name} cannot be used: {each.problem}"
    return f"speed      {each.name} {each.times_real_time:g} x real time"
