"""The training of a `lift` vocoder: steps within a time; it can be stopped and resumed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.storage.atomic import atomic_write
from pipeline.workshop.training.batches import Batch, Batches
from pipeline.workshop.training.degrade import degrade
from pipeline.workshop.training.net import LiftNet

PEAK_RATE = 2e-3
"""Learning rate after the first steps; it falls along a cosine to 1/200 of that."""
_LAST_RATE = 1e-5
_WARM_UP = 200  # steps, or a tenth of all
_TIMED_STEPS = 20
_SAVE_SECONDS = 30.0
_LARGEST_GRADIENT = 5.0


@dataclass(frozen=True)
class TrainingPlan:
    """The duration and the seed of a training.

    Args:
        minutes: duration of the training [min]; the first steps tell how many steps fit.
        steps: exact number of steps, used instead of `minutes`.
        seed: seed of all random numbers.
        threads: number of torch's threads; None for one on each core. With another number, rounding differs.
    """

    minutes: float = 10.0
    steps: int | None = None
    seed: int = 0
    threads: int | None = None


@dataclass(frozen=True)
class TrainingProgress:
    """The progress of a training.

    Args:
        step: number of steps that are done.
        steps: number of all steps; 0 if it is not known yet.
        loss: running mean of the loss.
        seconds: time spent so far, including earlier runs of the same training [s].
    """

    step: int
    steps: int
    loss: float
    seconds: float


class Training:
    """A training that can be stopped and resumed.

    Each step seeds its generators with the plan's seed and the step's number, so an interrupted training ends with the
    same weights as an uninterrupted one.

    Args:
        net_of: function that makes a net with fresh weights, once torch is seeded.
        batches: the batches to train on.
        plan: duration and seed.
        state: file of what is needed to resume.
        identity: identity of the training; a different one in `state` is an error.

    Raises:
        ConfigError: if `state` belongs to another training.
    """

    def __init__(
        self, net_of: Callable[[], LiftNet], batches: Batches, plan: TrainingPlan, state: Path, identity: dict[str, Any]
    ) -> None:
        torch.set_num_threads(plan.threads or len(os.sched_getaffinity(0)))
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(plan.seed)
        self.net = net_of()
        self.progress = TrainingProgress(0, plan.steps or 0, math.nan, 0.0)
        self._batches, self._plan, self._state = batches, plan, state
        self._optimizer = torch.optim.AdamW(self.net.parameters(), PEAK_RATE, betas=(0.9, 0.98))
        self._identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        if state.exists():
            self._load()

    def run(self, on_progress: Callable[[TrainingProgress, LiftNet], None]) -> None:
        """Trains to the end of the plan, or until Ctrl-C; the state is saved in either case.

        Args:
            on_progress: function that is called after each step, with the present net.
        """
        begun, saved = time.monotonic() - self.progress.seconds, time.monotonic()
        try:
            while not self.progress.steps or self.progress.step < self.progress.steps:
                self.progress = self._step(self.progress, begun)
                on_progress(self.progress, self.net)
                if time.monotonic() - saved > _SAVE_SECONDS:
                    self._save()
                    saved = time.monotonic()
        finally:
            self._save()

    def _step(self, before: TrainingProgress, begun: float) -> TrainingProgress:
        step, steps = before.step, before.steps
        for group in self._optimizer.param_groups:
            group["lr"] = rate(step, steps)
        batch = self._batches.draw(np.random.default_rng([self._plan.seed, step]))
        random = torch.Generator().manual_seed(self._plan.seed * 1_000_003 + step)
        before_updates, updated = self.net(degrade(batch.given, random))
        error = self._loss(updated, batch) + self._loss(before_updates, batch)
        self._optimizer.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), _LARGEST_GRADIENT)
        self._optimizer.step()
        found, seconds = float(error.detach()), time.monotonic() - begun
        if not steps and step + 1 == _TIMED_STEPS:
            steps = max(_TIMED_STEPS + 1, round(self._plan.minutes * 60 / seconds * _TIMED_STEPS))
        running = found if math.isnan(before.loss) else 0.98 * before.loss + 0.02 * found
        return TrainingProgress(step + 1, steps, running, seconds)

    def _loss(self, found: Tensor, batch: Batch) -> Tensor:
        return loss(found, batch, self.net.bank, self.net.spec)

    def _save(self) -> None:
        parts = {"net": self.net.state_dict(), "optimizer": self._optimizer.state_dict()}
        with atomic_write(self._state, beside=self._state.with_name(self._state.name + ".new")) as file:
            torch.save({"identity": self._identity, "progress": dataclasses.asdict(self.progress), **parts}, file)

    def _load(self) -> None:
        try:
            saved = torch.load(self._state, weights_only=True)
            identity = saved["identity"]
        except Exception as error:  # exceptions of torch, zip and pickle, which have no base class in common
            raise ConfigError(f"{self._state} is damaged ({error}); delete it to start from scratch") from error
        if identity != self._identity:
            raise ConfigError(
                f"{self._state} is an unfinished training on other speech, with other settings or of another melmill; "
                "pass those again to resume it, or delete it to start from scratch"
            )
        self.net.load_state_dict(saved["net"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.progress = TrainingProgress(**saved["progress"])


def level(net: LiftNet, batches: Batches, random: np.random.Generator, count: int = 32) -> None:
    """Shifts each bin that no band covers to the mean power of its targets, if it has targets.

    The loss finds the median of logarithms, which for noise is below the mean power. The mel gives the power of bins
    that bands cover.

    Args:
        net: the trained net; the biases of its head are changed.
        batches: the batches to measure on.
        random: generator that draws the batches.
        count: number of batches.
    """
    found, wanted = torch.zeros(net.uncovered.shape), torch.zeros(net.uncovered.shape)
    for _ in range(count):
        batch = batches.draw(random)
        with torch.no_grad():
            _, updated = net(batch.given)
            found += (torch.exp(2 * updated) * batch.known).sum(dim=(0, 1))
        wanted += (torch.exp(2 * batch.log_magnitude) * batch.known).sum(dim=(0, 1))
    heard = (net.uncovered > 0) & (wanted > 0)
    with torch.no_grad():
        net.head.bias[heard] += 0.5 * torch.log(wanted / found)[heard]


def rate(step: int, steps: int) -> float:
    """The learning rate of a step, of `steps` in all (0: not known yet)."""
    warm_up = min(1.0, (step + 1) / (min(_WARM_UP, 1 + steps // 10) if steps else _WARM_UP))
    return PEAK_RATE * warm_up * (0.5 + 0.5 * math.cos(math.pi * step / max(1, steps))) + _LAST_RATE


def loss(found: Tensor, batch: Batch, bank: Tensor, spec: MelSpec) -> Tensor:
    """Mean absolute errors where the target is known: of logarithms, magnitudes, their roots, and the mel's logarithms.

    Args:
        found: log-magnitudes that the net gives, `[batch, frames, bins]`.
        batch: the batch, with its targets.
        bank: filterbank, `[n_mels, bins]`.
        spec: contract of the mels.
    """
    known = batch.known.expand_as(found)
    count = known.sum()
    total = ((found - batch.log_magnitude).abs() * known).sum() / count
    for power in (1.0, 0.5):
        wanted = torch.exp(power * batch.log_magnitude) * known
        total = total + (torch.exp(power * found) * known - wanted).abs().sum() / wanted.sum()
    mel = torch.log((torch.exp(spec.power * found) @ bank.T).clamp(min=spec.floor))
    return total + (mel - batch.mel).abs().mean()
