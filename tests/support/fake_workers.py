"""Workers that sleep instead of making shards, a thousand in one process, which a real Dask scheduler takes for real.

    python -m support.fake_workers ADDRESS NUMBER SECONDS

Each speaks Dask's protocol of workers with one thread: it takes tasks in the order of their priority, sleeps, says what
melmill's workers say, and beats its heart. When standard input ends, it prints a JSON object with the seconds that all
of them slept, from the first task to the last.
"""

import asyncio
import heapq
import json
import sys
import time
from typing import Any

import distributed
from distributed.batched import BatchedSend
from distributed.comm import connect
from distributed.core import rpc
from distributed.versions import get_versions

from pipeline.cluster.on_worker import Trial, topic

_METRICS = {
    "bandwidth": {"total": 1e8, "workers": {}, "types": {}},
    "digests_total_since_heartbeat": {},
    "memory": 10**8,
    "spilled_bytes": {"memory": 0, "disk": 0},
    "managed_bytes": 0,
    "cpu": 0.0,
    "time": 0.0,
    "task_counts": {},
    "transfer": {"incoming_bytes": 0, "incoming_count": 0, "incoming_count_total": 0, "outgoing_bytes": 0,
                 "outgoing_count": 0, "outgoing_count_total": 0},
    "event_loop_interval": 0.02,
}  # fmt: skip


class FakeWorker:
    """One worker.

    Args:
        scheduler: address of the scheduler.
        number: number of the worker.
        seconds: time that it sleeps for each shard [s].
    """

    def __init__(self, scheduler: str, number: int, seconds: float) -> None:
        self.scheduler, self.number, self.seconds = scheduler, number, seconds
        self.address = f"tcp://127.0.0.1:{20000 + number}"  # nobody listens there, and nobody calls
        self.slept = 0.0
        self.first = self.last = 0.0
        self._queue: list[tuple[Any, int, dict[str, Any]]] = []
        self._more = asyncio.Event()
        self._stream = BatchedSend(interval="2ms")

    async def run(self) -> None:
        """Register, then work until the stream ends."""
        comm = await connect(self.scheduler)
        await comm.write(
            {
                "op": "register-worker",
                "reply": False,
                "address": self.address,
                "status": "running",
                "nthreads": 1,
                "name": f"fake-{self.number}",
                "now": time.time(),
                "resources": {},
                "memory_limit": 10**10,
                "local_directory": "",
                "services": {},
                "nanny": None,
                "pid": self.number,
                "versions": VERSIONS,
                "metrics": _METRICS,
                "extra": {},
                "stimulus_id": f"worker-connect-{time.time()}",
                "server_id": f"fake-{self.number}",
            }
        )
        await comm.read()
        self._stream.start(comm)
        tasks = [asyncio.create_task(each) for each in (self._work(), self._beat())]
        try:
            while True:
                for message in await comm.read():
                    if message["op"] == "compute-task":
                        heapq.heappush(self._queue, (message["priority"], message["run_id"], message))
                        self._more.set()
                    elif message["op"] == "close":
                        return
        except distributed.comm.CommClosedError:
            pass
        finally:
            for task in tasks:
                task.cancel()

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._more.clear()
                await self._more.wait()
            _, _, message = heapq.heappop(self._queue)
            begun = time.time()
            self.first = self.first or begun
            sealed, run_id = message["run_spec"].args
            trial = Trial.opened(getattr(sealed, "value", sealed))
            self._say(run_id, trial.number, "started", shard=trial.task.number, worker=self.address, processor="fake")
            await asyncio.sleep(self.seconds)
            self.last = time.time()
            self.slept += self.last - begun
            self._say(
                run_id, trial.number, "committed", shard=trial.task.number, name=trial.task.name,
                made=len(trial.task.utterances), failed=0, seconds=1.0, bytes=1, causes=(), example="", copied=False,
                stages=dict.fromkeys(("read", "decode", "examine", "encode", "commit"), 0.0),
            )  # fmt: skip
            self._stream.send(
                {
                    "op": "task-finished",
                    "status": "OK",
                    "key": message["key"],
                    "run_id": message["run_id"],
                    "nbytes": 16,
                    "type": None,
                    "typename": "NoneType",
                    "metadata": {},
                    "thread": self.number,
                    "startstops": [{"action": "compute", "start": begun, "stop": self.last}],
                    "stimulus_id": f"task-finished-{self.last}",
                }
            )

    def _say(self, run_id: str, trial: int, what: str, **values: Any) -> None:
        message = {"op": "log-event", "topic": topic(run_id), "msg": {"trial": trial, what: values}}
        self._stream.send(message)

    async def _beat(self) -> None:
        gap = 1.0
        async with rpc(self.scheduler) as scheduler:
            while True:
                await asyncio.sleep(gap)
                answer = await scheduler.heartbeat_worker(
                    address=self.address, now=time.time(), metrics=_METRICS, executing={}, extensions={}
                )
                gap = answer["heartbeat-interval"]


async def _all(scheduler: str, number: int, seconds: float) -> None:
    workers = [FakeWorker(scheduler, each, seconds) for each in range(number)]
    running = [asyncio.create_task(each.run()) for each in workers]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    wall = max(each.last for each in workers) - min(each.first for each in workers if each.first)
    print(json.dumps({"slept": sum(each.slept for each in workers), "wall": wall}), flush=True)
    for each in running:
        each.cancel()


VERSIONS = get_versions()

if __name__ == "__main__":
    asyncio.run(_all(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
