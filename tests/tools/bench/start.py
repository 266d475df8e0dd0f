"""What commands take that do nothing else: help, and a plan."""

from pathlib import Path

from support.packs import pack_audio
from support.paths import PROMPTS
from tools.bench.measuring import Row, command
from tools.bench.speech import SPEC


def rows(folder: Path, rounds: int) -> list[Row]:
    """A row for `melmill --help` and one for `melmill plan` of the demo.

    Args:
        folder: an empty folder.
        rounds: number of rounds.
    """
    folder.mkdir(parents=True)
    store = folder / "mels.zarr"
    pack_audio(str(PROMPTS), str(store), SPEC, workers=1)
    small = ("--set", "output.container=files", "--set", "output.shard_seconds=5")
    demo = ("plan", "--store", str(store), "--out", str(folder / "audio"), *small)
    commands = {"--help": ("--help",), "plan of the demo": demo}
    found = {name: Row(f"melmill {name}", "melmill") for name in commands}
    for arguments in commands.values():
        command(*arguments)  # the first time compiles Python, and the demo's checkpoint
    for _ in range(rounds):
        for name, arguments in commands.items():
            taken = command(*arguments)
            found[name].cpu.append(taken.cpu)
            found[name].wall.append(taken.wall)
            found[name].memory.append(taken.memory)
    return list(found.values())
