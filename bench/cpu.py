"""The processor time of a server, by thread, from /proc: on a busy machine it says more than answers a second."""

from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
# Linux counts in hundredths of a second wherever Python runs (USER_HZ).
_TICKS_A_SECOND = 100


class Cpu(NamedTuple):
    """Seconds used so far: by the event loops (the first thread of each process), and by all other threads."""

    loops: float
    others: float

    def since(self, before: "Cpu") -> "Cpu":
        """What was used after `before`."""
        return Cpu(self.loops - before.loops, self.others - before.others)


def used(pid: int) -> Cpu | None:
    """What a process and its children used; None where there is no /proc."""
    if not (_PROC / str(pid) / "task").exists():
        return None
    loops = others = 0.0
    for process in (pid, *_children(pid)):
        for thread in _numbers(_PROC / str(process) / "task"):
            seconds = _seconds(_PROC / str(process) / "task" / str(thread) / "stat")
            if thread == process:
                loops += seconds
            else:
                others += seconds
    return Cpu(loops, others)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for other in _numbers(_PROC):
        fields = _fields(_PROC / str(other) / "stat")
        if fields and int(fields[1]) == pid:
            found += [other, *_children(other)]
    return found


def _seconds(stat: Path) -> float:
    fields = _fields(stat)
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND if fields else 0.0


def _fields(stat: Path) -> list[str]:
    """The fields from the third on (proc(5)); empty if the process has gone. The second, a name, may hold anything."""
    try:
        return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _numbers(folder: Path) -> list[int]:
    try:
        return [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()]
    except OSError:
        return []
