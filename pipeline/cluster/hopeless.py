"""Passes events on, and ends a run whose first utterances all fail in the same way."""

from __future__ import annotations

from pipeline.errors import HopelessRunError
from pipeline.events import Event, Listener, ShardCommitted, UtterancesMade
from pipeline.wording import counted


class Prospects:
    """Passes events on, and notices that all utterances so far failed for the same reason.

    Args:
        limit: number of failures after which the run is hopeless, if nothing was made before; 0 for no limit.
        listener: callable that is told all events.
    """

    def __init__(self, limit: int, listener: Listener) -> None:
        self._limit = limit
        self._listener = listener
        self._failed: dict[int, UtterancesMade | ShardCommitted] = {}

    def __call__(self, event: Event) -> None:
        """Take the next event, and pass it on."""
        if isinstance(event, UtterancesMade | ShardCommitted) and self._limit and not event.copied:
            self._failed[event.shard] = event
            if event.made:
                self._limit = 0
                self._failed.clear()
        self._listener(event)

    def check(self) -> None:
        """Judge the run.

        Raises:
            HopelessRunError: if it cannot succeed.
        """
        causes = {cause for event in self._failed.values() for cause in event.causes}
        failed = sum(event.failed for event in self._failed.values())
        if self._limit and failed >= self._limit and len(causes) == 1:
            example = next(event.example for event in self._failed.values() if event.example)
            raise HopelessRunError(
                f"the first {counted(failed, 'utterance')} all failed in the same way ({causes.pop()}), and none was "
                f"made, so the run was stopped. The first one: {example}. Correct the cause, then run again; or pass "
                "--set quality.give_up_after=0 to make the others all the same"
            )
