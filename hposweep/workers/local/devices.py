"""Device slots: which GPUs this machine has for its workers, and what makes a worker see its own alone.

A device is called as its driver calls it: by its number, in the order of the PCI bus, or by an id such as
`GPU-8932f937` or `MIG-63feeb45-94c6-5df1`, which a part of a GPU has. Nothing here loads a library of the GPU's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hposweep.errors import ConfigError

AUTO = "auto"
NAME = re.compile(r"(0|[1-9]\d*)|((GPU|MIG)-[\w./-]+)")
NVIDIA, AMD = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"
# AMD's lower layer. What it leaves counts from 0 for HIP, so it is left as it is.
AMD_BELOW = "ROCR_VISIBLE_DEVICES"
LIST_OF_NVIDIA = ("nvidia-smi", "-L")
GPU_LINE, PART_LINE = re.compile(r"GPU (\d+):"), re.compile(r"\s+MIG .*\(UUID: (MIG-[\w./-]+)\)")
VARIABLES = (NVIDIA, AMD, AMD_BELOW, "CUDA_DEVICE_ORDER")  # by which a process sees its devices
SECONDS_TO_LIST = 30.0
AMD_NODES = "sys/class/kfd/kfd/topology/nodes"


@dataclass(frozen=True)
class Devices:
    """The devices that workers of this machine are given, `workers_per_device` each.

    devices = Devices(("0", "1"), workers_per_device=2)
    devices.n_slots             # 4
    devices.of_slots(3)         # ["0", "1", "0"]
    devices.environment("1")    # {"CUDA_VISIBLE_DEVICES": "1", ...}
    """

    names: tuple[str, ...]
    workers_per_device: int = 1

    @property
    def n_slots(self) -> int:
        """Workers that there is room for."""
        return len(self.names) * self.workers_per_device

    def of_slots(self, n_slots: int) -> list[str]:
        """The device of each slot. Breadth first: no device has two workers while another has none."""
        return (list(self.names) * self.workers_per_device)[:n_slots]

    def environment(self, name: str) -> dict[str, str]:
        """What makes a worker see this device alone, from before its first import."""
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", NVIDIA: name, AMD: name}

    @property
    def shared_environment(self) -> dict[str, str]:
        """What keeps the first of several workers of a device from taking all of its memory."""
        return {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if self.workers_per_device > 1 else {}


def place(name: str) -> str:
    """Where a job ran, in words."""
    return f"gpu {name}" if name.isdecimal() else name


def devices_of(
    prefix: str,
    devices: object,
    workers_per_device: object,
    n_workers: int | None,
    environment: Mapping[str, str] = os.environ,
    root: Path = Path("/"),
) -> Devices | None:
    """The devices that the options ask for; None where they ask for none, and workers see all that there are.

    Args:
        prefix: of the options' names in messages, such as `hydra.launcher.`.
        devices: None, "auto", or a list of numbers and ids.
        environment: of this process, for "auto".
        root: of the file system, for "auto".

    Raises:
        ConfigError: if an option can't be used, or contradicts another.
    """
    if isinstance(workers_per_device, bool) or not isinstance(workers_per_device, int) or workers_per_device < 1:
        raise ConfigError(f"{prefix}workers_per_device: must be a whole number, at least 1, got {workers_per_device!r}")
    key = f"{prefix}devices"
    if devices is None:
        if workers_per_device > 1:
            raise ConfigError(f"{prefix}workers_per_device: needs {key}, auto or a list of devices")
        return None
    if sys.platform in ("darwin", "win32"):
        raise ConfigError(f"{key}: workers are given devices on Linux alone")
    if devices == AUTO:
        names = found_devices(key, environment, root)
    elif isinstance(devices, Sequence) and not isinstance(devices, str):
        names = [_checked(key, each) for each in devices]
    else:
        raise ConfigError(f"{key}: must be null, auto, or a list such as [0, 1], got {devices!r}")
    if not names:
        raise ConfigError(f"{key}: must name at least one device; null lets all workers see all of them")
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise ConfigError(f"{key}: {twice} stands twice; {prefix}workers_per_device lets workers share a device")
    found = Devices(tuple(names), workers_per_device)
    if n_workers is not None and n_workers > found.n_slots:
        raise ConfigError(
            f"{prefix}n_workers: must be at most {found.n_slots}, which {key} and {prefix}workers_per_device make, "
            f"got {n_workers}"
        )
    return found


def found_devices(key: str, environment: Mapping[str, str], root: Path) -> list[str]:
    """The devices of this machine that this process may use.

    Args:
        key: of the option that asks for them.

    Raises:
        ConfigError: if there are none.
    """
    for variable in (NVIDIA, AMD, AMD_BELOW):
        if variable in environment:
            names = _visible(environment[variable])
            if not names:
                raise ConfigError(f"{key}: auto finds none, since {variable} is {environment[variable]!r}")
            return [str(number) for number in range(len(names))] if variable == AMD_BELOW else names
    names = _of_nvidia() or _of_amd(root)
    if not names:
        raise ConfigError(f"{key}: auto finds none: no GPU of NVIDIA's or AMD's that this process may use")
    return names


def _visible(text: str) -> list[str]:
    """What such a variable lets a process see: as the drivers read it, all that stands before what is no device."""
    names: list[str] = []
    for word in text.split(","):
        name = word.strip()
        if NAME.fullmatch(name) is None:
            break
        names.append(name)
    return names


def _of_nvidia() -> list[str]:
    try:
        done = subprocess.run(LIST_OF_NVIDIA, capture_output=True, text=True, timeout=SECONDS_TO_LIST, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return devices_listed(done.stdout) if done.returncode == 0 else []


def devices_listed(text: str) -> list[str]:
    """The devices in the output of `nvidia-smi -L`: GPUs by number, or their parts by id where they have parts.

    GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
      MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
    """
    parts: dict[str, list[str]] = {}
    last = ""
    for line in text.splitlines():
        if found := GPU_LINE.match(line):
            last = found[1]
            parts[last] = []
        elif last and (found := PART_LINE.match(line)):
            parts[last].append(found[1])
    return [each for gpu, of_gpu in parts.items() for each in (of_gpu or [gpu])]


def _of_amd(root: Path) -> list[str]:
    """Those that the kernel's driver lists, and whose device file this process may open: in HIP's count, from 0."""
    nodes = sorted((root / AMD_NODES).glob("*/properties"), key=lambda path: (len(path.parent.name), path.parent.name))
    n_usable = 0
    for path in nodes:
        try:
            words = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if " " in line)
        except OSError:  # in a container those that are not its own can't be read
            continue
        is_gpu = words.get("simd_count", "0") != "0"
        device = root / "dev" / "dri" / f"renderD{words.get('drm_render_minor', '')}"
        n_usable += is_gpu and os.access(device, os.R_OK | os.W_OK)
    return [str(number) for number in range(n_usable)]


def _checked(key: str, device: Any) -> str:
    name = str(device)
    if isinstance(device, bool) or not isinstance(device, int | str) or NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{key}: must be numbers from 0 and ids such as GPU-8932f937 or MIG-63feeb45-94c6-5df1, got {device!r}"
        )
    return name
