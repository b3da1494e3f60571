"""The origin of a run's numbers: command line, source, versions, device, memory, time."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tfcnn.training.log import command_line

PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy")


def provenance(seconds: float) -> dict[str, Any]:
    """The facts of this process, which has just worked for `seconds`, for metrics.json.

    Returns:
        dict: "seconds"; "started" and "finished" (UTC, ISO 8601); "peak_memory_mib" of the process and
        "peak_gpu_memory_mib" (None without a GPU); "device" in words; "command", quoted for a shell; "commit" of the
        source, "-dirty" where it has changed since (None outside a git checkout); "versions".
    """
    finished = datetime.datetime.now(datetime.UTC)
    started = finished - datetime.timedelta(seconds=seconds)
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "seconds": round(seconds, 1),
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "peak_memory_mib": peak_memory(),
        "peak_gpu_memory_mib": _peak_gpu_memory(),
        "device": device(),
        "command": command_line(),
        "commit": commit(Path(__file__).parent),
        "versions": versions,
    }


def device() -> str:
    """The device that TensorFlow computes on: "NVIDIA H200", "2 of NVIDIA H200", "AMD EPYC 9354, 2 cores"."""
    import tensorflow as tf

    names = [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    if names:
        return names[0] if len(names) == 1 else f"{len(names)} of {names[0]}"
    cores = usable_cores()
    return f"{_processor()}, {cores} core{'s' if cores > 1 else ''}"


def usable_cores() -> int:
    """The cores that this process may use."""
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):  # not on macOS
        return len(process.cpu_affinity())
    return psutil.cpu_count() or 1


def commit(folder: Path) -> str | None:
    """The git commit of a package's folder, "-dirty" where tracked files differ from it; None if git has no such file.

    A package that is installed in the checkout of another project is no part of that project's commit.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        return _git(folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _processor() -> str:
    """The CPU's model; platform.processor() is empty or "x86_64" on Linux."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def peak_memory() -> int:
    """The most memory that this process has held, in MiB.

    Linux' `getrusage` counts the process that started this one, too, whose memory a new process shares until its
    program is loaded.
    """
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10  # from KiB
    try:
        import resource
    except ImportError:
        return getattr(psutil.Process().memory_info(), "peak_wset", 0) >> 20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, else KiB
    return peak >> (20 if sys.platform == "darwin" else 10)


def _peak_gpu_memory() -> int | None:
    """MiB, the most of any GPU."""
    import tensorflow as tf

    names = [device.name.partition("physical_device:")[2] for device in tf.config.list_physical_devices("GPU")]
    return max((tf.config.experimental.get_memory_info(name)["peak"] >> 20 for name in names), default=None)
