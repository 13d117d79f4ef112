"""What the audio process asks of the kernel and of Python before it is armed.

Each request may be refused (no rights): that is reported, never fatal.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import struct
import sys
from pathlib import Path

SWITCH_INTERVAL_S = 1e-4
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
HELPER_PRIORITY = 1  # below the callback's, which the sound server sets
CPU_LATENCY = Path("/dev/cpu_dma_latency")  # Documentation/power/pm_qos_interface.rst
IDLE_DRIVER = Path("/sys/devices/system/cpu/cpuidle/current_driver")
WAKE_US = 20  # a hundredth of a block; the deepest sleep of a core takes 100 to 400 to leave
MADV_POPULATE_WRITE = 23  # Linux 5.14; the mmap module does not name it


def quiet_python() -> None:
    """No garbage collection from here on; threads hand over the interpreter quickly."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.disable()


def lock_memory() -> bool:
    """Keep what is touched in memory. False: refused (RLIMIT_MEMLOCK)."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)


def fault_in(memory: mmap.mmap) -> None:
    """Map every page for writing now, its contents untouched, so that no block has to wait for one.
    Older kernels cannot: there the pages are read, and the first write to each still faults."""
    try:
        memory.madvise(MADV_POPULATE_WRITE)
    except OSError:
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page]


def keep_awake(device: Path = CPU_LATENCY, driver: Path = IDLE_DRIVER) -> bool:
    """No core sleeps so deep that it wakes later than WAKE_US, as long as this process lives. A
    guest of a hypervisor (haltpoll) does not sleep at all: it would give its core to others, and
    find its caches cold. False: refused (rights), or the kernel has no such thing."""
    try:
        guest = driver.read_text().strip() == "haltpoll"
    except OSError:
        guest = False
    try:
        request = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(request, struct.pack("i", 0 if guest else WAKE_US))  # holds while it is open
    except OSError:
        os.close(request)
        return False
    return True


def raise_helpers() -> bool:
    """SCHED_FIFO for the threads that are not real-time yet. False: refused (RLIMIT_RTPRIO)."""
    granted = True
    for task in Path("/proc/self/task").iterdir():
        try:
            thread = int(task.name)
            if os.sched_getscheduler(thread) == os.SCHED_OTHER:
                os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(HELPER_PRIORITY))
        except ProcessLookupError:
            continue
        except PermissionError:
            granted = False
    return granted
