"""The cards that CUDA's driver tells of, without a card: the driver is a stand-in that is strict, or missing."""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from support.fake_driver import Driver
from support.paths import TESTS

from pipeline.vocoders import cards
from pipeline.vocoders.cards import CudaCard, card_memory, own_card, visible_cards

# A worker of its own process: prints its card, and lives until its input ends.
WORKER = """
import sys
from support.fake_driver import Driver
from pipeline.vocoders.cards import own_card
driver = Driver(cards=2, identity=bytes.fromhex(sys.argv[1]))
assert own_card(driver) is own_card(driver)
print(own_card(driver).ordinal, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("fails", "free"), [("", (11 * 10**9, 12 * 10**9)), ("cuInit", None), ("cuMemGetInfo_v2", None)]
)
def test_the_driver_is_asked_for_its_free_memory_and_left_as_it_was(fails: str, free: tuple[int, int] | None) -> None:
    driver = Driver(fails, cards=2)
    assert card_memory(1, driver) == free
    assert (driver.pushed, driver.retained) == (False, 0)
    assert card_memory(2, driver) is None


@pytest.mark.parametrize("fails", ["", "cuInit", "cuDeviceGetCount", "cuDeviceGetUuid_v2"])
def test_the_driver_is_asked_for_its_cards(fails: str) -> None:
    identity = uuid.uuid4().bytes
    driver = Driver(fails, cards=2, identity=identity)
    both = (CudaCard(0, identity.hex()), CudaCard(1, Driver.identity_of(identity, 1).hex()))
    assert visible_cards(driver) == (() if fails else both)


def test_without_a_driver_there_are_no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(cards, "_claim", cards._Claim(0, None, None))
    assert (card_memory(0), visible_cards(), own_card()) == (None, (), None)


@contextlib.contextmanager
def worker(identity: bytes) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process, and the card that it took."""
    command = [sys.executable, "-c", WORKER, identity.hex()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=TESTS) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


def test_workers_spread_over_the_cards_and_one_that_is_killed_frees_its_own() -> None:
    identity = uuid.uuid4().bytes
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(worker(identity)) for _ in range(4)]
        assert [card for _, card in workers] == [0, 1, 0, 1]
        workers[1][0].kill()
        workers[1][0].wait()
        assert stack.enter_context(worker(identity))[1] == 1


def test_more_processes_than_are_told_apart_use_the_first_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "_bound", lambda name: None)
    monkeypatch.setattr(cards, "_claim", cards._Claim(0, None, None))
    found = cards.own_card(Driver(cards=2))
    assert found is not None
    assert found.ordinal == 0
