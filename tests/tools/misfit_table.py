"""Corpora in which some utterances do not fit the contract: what `run` makes of them. Run by hand, some minutes of CPU.

python tests/tools/misfit_table.py > tests/tools/misfit_table.md
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.corpora import rows, tiny_vocoder
from support.faults.ragged_store import write_store
from support.misfits import WAYS, corpus, quarantined

import pipeline
from pipeline.config import JobConfig
from pipeline.errors import ContractError

COUNT, SHARES = 100, (0.01, 0.05, 0.2, 0.6, 1.0)
ABOUT = """\
Made by `tests/tools/misfit_table.py`: corpora of 100 utterances of speech, of which some are changed in the way of the
row, stated as `hifigan-22k` and made by `run`. A cell has the number of good utterances that were made, and of bad ones
that were quarantined and named (`quality.max_failure_rate` is 1, so that any number may be). `refused`: exit code 4,
nothing was made, since most utterances are of another contract. The values of bands and frames that are mixed up are
possible ones of the contract, so they are made.
"""


def outcome(way: str, share: float, vocoder: Path, folder: Path) -> str:
    """What a run does about a corpus."""
    mels, bad = corpus(way, COUNT, round(share * COUNT))
    store = write_store(folder / "store.zarr", mels)
    config = JobConfig.build(
        {
            "input": {"store": str(store)},
            "vocoder": {"name": str(vocoder)},
            "output": {"url": str(folder / "out")},
            "cluster": {"kind": "synchronous"},
            "quality": {"max_failure_rate": 1.0, "mel_distance": False},
        }
    )
    try:
        pipeline.run(config)
    except ContractError:
        return "refused"
    made, named = {row["key"] for row in rows(folder / "out")}, quarantined(rows(folder / "out", "failures.jsonl"))
    good = mels.keys() - bad
    lost = f", **{len(named & good)} good quarantined**" if named & good else ""
    return f"{len(made & good)} of {len(good)} made, {len(named & bad)} of {len(bad)} named{lost}"


def main() -> None:
    print("# A few bad utterances never decide for a corpus\n")
    print(ABOUT)
    print("| way | " + " | ".join(f"{share:.0%} are bad" for share in SHARES) + " |")
    print("|---" * (len(SHARES) + 1) + "|")
    with tempfile.TemporaryDirectory() as scratch:
        vocoder = tiny_vocoder(Path(scratch) / "tiny.onnx")
        for number, way in enumerate(WAYS):
            cells = []
            for share in SHARES:
                folder = Path(scratch) / f"{number}-{share}"
                folder.mkdir()
                cells.append(outcome(way, share, vocoder, folder))
            print(f"| {way} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
