"""The command `melmill init`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.mel_option import Mel, mel_contract
from pipeline.config.template import job_text
from pipeline.errors import ConfigError, StorageError

_EXAMPLE = {"input.store": "mels.zarr", "output.url": "audio"}


def init(
    job: Annotated[
        Path | None, typer.Argument(metavar="JOB.yaml", help="File to write (default: standard output).")
    ] = None,
    store: Annotated[str | None, typer.Option("--store", help="Path or URL of the mel store to write it for.")] = None,
    mel: Mel = None,
) -> None:
    """Write a commented job file, for a store or with defaults.

    It has every key of a job on this machine. init asks nothing, and never overwrites a file.

    With --store, it fills in what inspect finds: the layout of the store, its mel contract, and a vocoder that takes
    such mels. --mel names the contract of a store that states none.

    Exit code 4: the mel contract of the store is not known, or its values contradict it.

    Example:
        melmill init job.yaml --store mels.zarr
        melmill plan job.yaml
    """
    if job is not None and os.path.exists(job):
        raise _exists(job)
    if store is None:
        if mel is not None:
            raise ConfigError("--mel is the contract of the mels in --store, which is missing")
        text = job_text(_EXAMPLE)
    else:
        from pipeline.workshop.job_draft import draft_job  # which a file without a store does without

        draft = draft_job(store, mel, mel_contract(mel))
        text = job_text({**_EXAMPLE, **draft.values}, draft.notes)
    if job is None:
        print(text, end="")
        return
    try:
        with job.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise _exists(job) from error
    except FileNotFoundError as error:
        what = f"{job} cannot be written: there is no folder {job.parent}"
        raise ConfigError(
            f"{what}. Make it (mkdir -p {shlex.quote(str(job.parent))}), or choose another place"
        ) from error
    except NotADirectoryError as error:
        what = f"{job} cannot be written: {job.parent} lies in a file, or is one"
        raise ConfigError(f"{what}. Choose another place") from error
    except OSError as error:
        what = f"{job} cannot be written: {error.strerror}"
        raise StorageError(f"{what}. Choose another place, or mend that, and run init again") from error
    print(f"wrote {job}; now see what it would make: melmill plan {job}")


def _exists(job: Path) -> ConfigError:
    return ConfigError(f"{job} exists already, and init never overwrites a file. Choose another name")
