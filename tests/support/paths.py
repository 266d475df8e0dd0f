"""Where the files of the tests lie."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
TESTS = ROOT / "tests"
DATA = TESTS / "data"
PROMPTS = ROOT / "pipeline" / "workshop" / "prompts" / "speech"
REFERENCE = DATA / "reference"
