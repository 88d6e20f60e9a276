"""What this process has used so far: time since it was started, and memory at its peak."""

import os
import sys
import time
from pathlib import Path

IMPORTED = time.perf_counter()


def seconds_since_start() -> float:
    """Seconds since the system started this process, or since this module was imported where it does not tell."""
    try:
        # After the name in brackets, which may hold spaces, the start is the 20th field, in ticks since boot.
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return time.perf_counter() - IMPORTED
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def peak_memory() -> float:
    """The most memory that was resident at once, in MB (10^6 bytes)."""
    try:
        # getrusage() would count what the parent held before this program was loaded.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
    except OSError:
        import resource  # which Windows does not have

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
