"""What a process takes, and how a table of processes is printed."""
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Contender:
    """A program that does the job.

    `command` is given the place of its output, `result` tells where below that the decoded values lie. `rounds` bounds how
    often it takes part, for those that take minutes. A peer in Python tells its own times (`inner`): starting the interpreter
    and its imports is not held against it. All of the engine's process is.
    """
    command: list
    result: list = field(default_factory=list)
    inner: bool = False
    rounds: int = 1 << 30


def taken(command, inner, env=None):
    """Wall and CPU seconds and peak memory of a whole process, and the last line of JSON it printed."""
    start = time.perf_counter()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    text = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    wall = time.perf_counter() - start
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode != 0:
        sys.exit(f"refused: exit {p.returncode} of {' '.join(command)}")
    lines = [s for s in text.splitlines() if s.startswith("{")]
    told = json.loads(lines[-1]) if lines else {}
    record = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss / 1024, "told": told}
    if inner:
        record.update(wall=told["wall_s"], cpu=told["cpu_s"])
    return record


@dataclass
class Target:
    """A ratio that is to hold: `value` of the records of the engine (or `ours`) and of `other`, in the same round.

    Without `least` it is only told.
    """
    other: str
    least: float | None
    value: object
    says: str
    ours: str = "engine"


def wall(engine, other):
    """How many times as long as the engine the other takes."""
    return other["wall"] / engine["wall"]


def cpu(engine, other):
    """How many times the engine's CPU time the other takes."""
    return other["cpu"] / engine["cpu"]


def spread(values, form):
    middle = statistics.median(values)
    return f"{middle:{form}}" if len(values) == 1 else f"{middle:{form}} ({min(values):{form}}-{max(values):{form}})"


def written(n):
    """Megabytes; nothing of a contender whose result is told, or a table."""
    return f"{n / 1e6:.1f}" if n >= 50_000 else ""


def rows(job, records):
    """The rows of a job: every contender, and how often its time is the engine's, by the rounds in which both ran."""
    for name, taken in records.items():
        ratios = [wall(e, t) for e, t in zip(records["engine"], taken)]
        yield "| " + " | ".join([
            job, name, spread([t["wall"] for t in taken], ".2f"), f"{statistics.median(t['cpu'] for t in taken):.2f}",
            f"{max(t['rss'] for t in taken):.0f}", written(taken[0]["written"]),
            spread(ratios, ".2f") if name != "engine" else "1"]) + " |"


def verdicts(job, targets, records):
    for t in targets:
        found = [t.value(e, o) for e, o in zip(records[t.ours], records[t.other])]
        least, holds = "", ""
        if t.least is not None:
            least, holds = f"{t.least:.3g}", "yes" if statistics.median(found) >= t.least else "**no**"
        yield f"| {job} | {t.says} | {least} | {spread(found, '.3g')} | {holds} |"
