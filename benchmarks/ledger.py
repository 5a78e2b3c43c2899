"""Whether the cost ledger is exact when processes are killed, what it costs a request, and LiteLLM's budgets beside it.

    python benchmarks/ledger.py                      # 8 processes, 100,000 calls each, 16 SIGKILLs
    python benchmarks/ledger.py --budgets --litellm .venv-litellm/bin/python

A killed process is replaced by one that continues with the next call, so that every process ends with all of its calls.
With ``--budgets``, a budget that pays for half of the embedding requests is given to this library and to LiteLLM
(``pip install litellm``, in an environment of its own), both of which send their requests to the local AWS.
"""

import argparse
import json
import mmap
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from embedstack import load_embedder
from embedstack.costs.ledger import Ledger
from embedstack.costs.records import CallRecord, Total
from embedstack.embedders import FakeEmbedder
from embedstack.errors import BudgetExceeded

START = 1_796_083_200.0  # 2026-12-01
DAY_SECONDS = 86_400
# Between two kills.
KILL_SECONDS = 0.5
MODEL, PRICE_PER_MILLION = "amazon.titan-embed-text-v2:0", 0.02


@dataclass(frozen=True)
class Exactness:
    """What the ledger has of the calls that processes have recorded.

    Attributes:
        shown: Calls that processes have recorded and shown.
        kills: Processes that were killed. Each may have recorded one call that it has not shown.
        total: The sums in the ledger.
        lost: Calls that the ledger counts as lost.
        seconds: Duration until the last process ended.
    """

    shown: int
    kills: int
    total: Total
    lost: int
    seconds: float

    @property
    def is_exact(self) -> bool:
        """Whether every call is in the sums or counted as lost, and none twice."""
        sums = self.total
        return (
            self.shown <= sums.calls + self.lost <= self.shown + self.kills
            and sums.texts == sums.calls
            and sums.cost == 20_000 * sums.calls
        )


def record_calls(address: str, counter: Path, calls: int) -> None:
    """Record calls from the number in a file on, and show each there, in a way that survives a kill."""
    ledger = Ledger(address)
    with counter.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shown:
        (first,) = struct.unpack_from("<Q", shown)
        for number in range(first + 1, calls + 1):
            ledger.record(
                CallRecord(
                    at=START, backend="fake", endpoint="", model=f"model-{number % 3}", kind="document", texts=1,
                    tokens=1, cost=20_000,
                )
            )  # fmt: skip
            struct.pack_into("<Q", shown, 0, number)
    ledger.close()


def measure_exactness(address: str, folder: Path, *, processes: int, calls: int, kills: int) -> Exactness:
    """Record calls in processes, of which a random one is killed again and again."""
    counters = [folder / f"calls-{number}" for number in range(processes)]
    for counter in counters:
        counter.write_bytes(bytes(8))
    command = [sys.executable, __file__, "--record", address, "--calls", str(calls), "--counter"]
    running = [subprocess.Popen([*command, str(counter)]) for counter in counters]
    begun = [0] * processes
    started = time.perf_counter()
    killed = 0
    while killed < kills:
        time.sleep(KILL_SECONDS)
        alive = [number for number, process in enumerate(running) if process.poll() is None]
        if not alive:
            break
        writing = [number for number in alive if _shown(counters[number]) > begun[number]]
        if not writing:
            continue
        victim = random.choice(writing)  # noqa: S311 - not for secrets
        running[victim].kill()
        running[victim].wait()
        killed += 1
        begun[victim] = _shown(counters[victim])
        running[victim] = subprocess.Popen([*command, str(counters[victim])])
    for process in running:
        if process.wait() != 0:
            raise SystemExit("A process failed.")
    seconds = time.perf_counter() - started
    ledger = Ledger(address)
    lost = ledger.lost()
    (total,) = ledger.totals(START, START + DAY_SECONDS)
    ledger.close()
    return Exactness(sum(map(_shown, counters)), killed, total, lost, seconds)


def _shown(counter: Path) -> int:
    (shown,) = struct.unpack("<Q", counter.read_bytes())
    return int(shown)


def measure_request(folder: Path, requests: int) -> dict[str, float]:
    """Microseconds of a request to the fake backend, without and with a ledger, and of recording alone."""
    microseconds = {}
    for name, address in (("without", None), ("with", str(folder / "request.db"))):
        with (
            FakeEmbedder()
            if address is None
            else load_embedder(embedding_backend="fake", embedstack_cache_mb=0, costs_ledger=address) as embedder
        ):
            embedder.embed(["text"])
            started = time.perf_counter()
            for _ in range(requests):
                embedder.request_vectors(["text"], "document")
            microseconds[name] = (time.perf_counter() - started) / requests * 1e6
    ledger = Ledger(str(folder / "record.db"))
    call: dict[str, Any] = {"at": START, "backend": "fake", "endpoint": "", "model": "m", "kind": "document"}
    started = time.perf_counter()
    for _ in range(requests):
        ledger.record(CallRecord(**call, cost=1))
    microseconds["record"] = (time.perf_counter() - started) / requests * 1e6
    ledger.close()
    return microseconds


def spend_budget(folder: Path, address: str, requests: int) -> dict[str, float]:
    """Embed with a budget that pays for half of the requests; the same keys as the line of ledger_peers.py."""
    options: dict[str, Any] = {
        "embedding_backend": "bedrock", "bedrock_embedding_model_id": MODEL, "embedstack_cache_mb": 0,
        "aws_endpoint_url": address, "aws_region": "us-east-1",
    }  # fmt: skip
    with load_embedder(**options) as embedder:
        embedder.embed(["text"])
        budget = PRICE_PER_MILLION * embedder.stats().tokens / 1e6 * requests / 2
    ledger = Ledger(str(folder / "budget.db"))
    passed = 0
    limits: dict[str, Any] = {"costs_ledger": str(folder / "budget.db"), "aws_cost_budget_limit": f"{budget:.12f}"}
    with load_embedder(**options, **limits) as embedder:
        try:
            for _ in range(requests):
                embedder.embed(["text"])
                passed += 1
        except BudgetExceeded:
            pass
    now = time.time()
    counted = ledger.spend(now - DAY_SECONDS, now + DAY_SECONDS) / 1e12
    ledger.close()
    return {"passed": passed, "cost": counted, "budget": budget, "counted": counted}


@contextmanager
def local_aws(folder: Path) -> Iterator[str]:
    """The address of a local AWS that runs meanwhile."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "localaws", "--port", str(port), "--state-dir", str(folder / "aws")]
    with (folder / "aws.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(300):
            try:
                urlopen(address).close()
                break
            except OSError as error:
                if hasattr(error, "status"):
                    break  # an answer
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def compare_budgets(folder: Path, litellm: str | None, requests: int) -> None:
    """Print what passes a budget that pays for half of the requests."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with local_aws(folder) as address:
        rows = [("embedstack, embedding", spend_budget(folder, address, requests))]
        for budget in ("provider", "process") if litellm else ():
            for kind in ("embedding", "chat"):
                command = [str(litellm), str(Path(__file__).with_name("ledger_peers.py")), kind, budget]
                done = subprocess.run([*command, str(requests), address], check=True, capture_output=True, text=True)
                rows.append((f"LiteLLM, {kind}, budget of the {budget}", json.loads(done.stdout.splitlines()[-1])))
    print(f"\n{requests} requests, a budget for {requests // 2}:")
    for name, row in rows:
        print(
            f"  {name}: {row['passed']} passed, ${row['cost']:.3g} spent of ${row['budget']:.3g}, "
            f"${row['counted']:.3g} counted"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--calls", type=int, default=100_000, help="of each process")
    parser.add_argument("--kills", type=int, default=16)
    parser.add_argument("--postgres", help="address of a database; a SQLite file by default")
    parser.add_argument("--budgets", action="store_true", help="spend a budget on the local AWS")
    parser.add_argument("--litellm", help="Python of an environment with LiteLLM, for --budgets")
    parser.add_argument("--requests", type=int, default=100, help="of --budgets")
    parser.add_argument("--record", help=argparse.SUPPRESS)
    parser.add_argument("--counter", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.record:
        record_calls(options.record, options.counter, options.calls)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.budgets:
            compare_budgets(folder, options.litellm, options.requests)
            return
        address = options.postgres or str(folder / "ledger.db")
        result = measure_exactness(
            address, folder, processes=options.processes, calls=options.calls, kills=options.kills
        )
        print(
            f"{options.processes} processes x {options.calls:,} calls, {result.kills} killed: "
            f"{result.shown:,} recorded, {result.total.calls:,} in the ledger, {result.lost:,} counted as lost, "
            f"{'exact' if result.is_exact else 'NOT EXACT'}; {result.shown / result.seconds:,.0f} calls/s"
        )
        times = measure_request(folder, 20_000)
        print(
            f"a request to the fake backend: {times['without']:.1f} µs without a ledger, {times['with']:.1f} µs with "
            f"one and the middleware; a record alone {times['record']:.1f} µs"
        )
        if not result.is_exact:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
