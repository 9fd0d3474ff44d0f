"""Device slots: which devices workers are given, and that each worker sees its own from its first import on."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hposweep.errors import ConfigError
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers.local import devices
from hposweep.workers.local.devices import Devices, devices_listed, devices_of
from hposweep.workers.local.pool import WorkerPool, most_workers
from hposweep.workers.local.worker import JobAnswer, Outcome
from support.processes import wait_for

PREFIX = "hydra.launcher."
NAMES = st.one_of(
    st.integers(0, 63),
    st.integers(0, 63).map(str),
    st.from_regex(r"(GPU|MIG)-[0-9a-f]{8}(/[0-9]){0,2}", fullmatch=True),
)


@given(
    given_devices=st.lists(NAMES, min_size=1, max_size=8, unique_by=str), per_device=st.integers(1, 4), data=st.data()
)
def test_each_slot_has_one_of_the_devices_and_no_device_two_before_all_have_one(
    given_devices, per_device, data
) -> None:
    n_workers = data.draw(st.none() | st.integers(1, per_device * len(given_devices)))
    found = devices_of(PREFIX, given_devices, per_device, n_workers)
    assert found is not None
    assert found.names == tuple(map(str, given_devices))
    slots = found.of_slots(found.n_slots if n_workers is None else n_workers)
    assert len(slots) == (n_workers or per_device * len(given_devices))
    counts = [Counter(slots)[name] for name in found.names]
    assert max(counts) - min(counts) <= 1
    assert max(counts) <= per_device


@given(
    given_devices=st.lists(
        NAMES | st.sampled_from([-1, 1.5, True, None, "", "a", "-1", "01", "0,1", "GPU-"]), max_size=4
    )
)
def test_a_list_is_taken_or_refused_in_one_line_that_names_the_key(given_devices: list[Any]) -> None:
    try:
        found = devices_of(PREFIX, given_devices, 1, None)
    except ConfigError as error:
        assert f"{error}".startswith("hydra.launcher.devices: ")
        assert "\n" not in f"{error}"
    else:
        assert found is not None
        assert len(set(found.names)) == len(given_devices) > 0


@pytest.mark.parametrize(
    ("given_devices", "per_device", "n_workers", "message"),
    [
        ([], 1, None, "devices: must name at least one device"),
        (
            [0, 1, "0"],
            1,
            None,
            "devices: 0 stands twice; hydra.launcher.workers_per_device lets workers share a device",
        ),
        ([-1], 1, None, "devices: must be numbers from 0 and ids such as .*, got -1"),
        ([True], 1, None, "devices: must be numbers from 0 .*, got True"),
        ([0.0], 1, None, "devices: must be numbers from 0 .*, got 0.0"),
        (["cuda:0"], 1, None, "devices: must be numbers from 0 .*, got 'cuda:0'"),
        (2, 1, None, r"devices: must be null, auto, or a list such as \[0, 1\], got 2"),
        ("0", 1, None, r"devices: must be null, auto, or a list such as \[0, 1\], got '0'"),
        ([0, 1], 0, None, "workers_per_device: must be a whole number, at least 1, got 0"),
        ([0, 1], 1.5, None, "workers_per_device: must be a whole number, at least 1, got 1.5"),
        ([0, 1], True, None, "workers_per_device: must be a whole number, at least 1, got True"),
        (None, 2, None, "workers_per_device: needs hydra.launcher.devices"),
        ([0, 1], 2, 5, "n_workers: must be at most 4, which .*devices and .*workers_per_device make, got 5"),
    ],
)
def test_what_can_t_be_used_is_refused(given_devices, per_device, n_workers, message) -> None:
    with pytest.raises(ConfigError, match=f"^hydra.launcher.{message}"):
        devices_of(PREFIX, given_devices, per_device, n_workers)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_workers_that_are_spawned_are_given_none(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(ConfigError, match="on Linux alone"):
        devices_of(PREFIX, [0], 1, None)
    assert devices_of(PREFIX, None, 1, None) is None


def test_without_devices_workers_see_all_there_are() -> None:
    assert devices_of(PREFIX, None, 1, 64) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, ["2", "3"]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8932f937, MIG-63feeb45/1/0"}, ["GPU-8932f937", "MIG-63feeb45/1/0"]),
        ({"CUDA_VISIBLE_DEVICES": "1,-1,0"}, ["1"]),
        ({"HIP_VISIBLE_DEVICES": "0,3"}, ["0", "3"]),
        ({"ROCR_VISIBLE_DEVICES": "5,7"}, ["0", "1"]),
    ],
)
def test_auto_takes_what_the_controller_may_see(tmp_path: Path, environment, expected) -> None:
    found = devices_of(PREFIX, "auto", 1, None, environment, tmp_path)
    assert found == Devices(tuple(expected))


@pytest.mark.parametrize("text", ["", "-1", "NoDevFiles"])
def test_auto_is_refused_where_the_controller_may_see_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="auto finds none, since CUDA_VISIBLE_DEVICES is"):
        devices_of(PREFIX, "auto", 1, None, {"CUDA_VISIBLE_DEVICES": text}, tmp_path)


LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb      Device  1: (UUID: MIG-63feeb45-94c6-5df1-b2a8-1d4ad1ba9cf7)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-0b0c5d1a-5f3b-7e0c-b7d9-0d1b2a5c9d10)
"""


def test_parts_of_a_gpu_stand_in_its_place() -> None:
    parts = ["MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "MIG-63feeb45-94c6-5df1-b2a8-1d4ad1ba9cf7"]
    assert devices_listed(LISTED) == [*parts, "1"]
    assert devices_listed("No devices found.\n") == []


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "LIST_OF_NVIDIA", ("there-is-no-such-program",))


@pytest.mark.process
def test_auto_asks_the_driver_where_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = [sys.executable, "-c", "print('GPU 0: one (UUID: GPU-a)\\nGPU 1: another (UUID: GPU-b)')"]
    monkeypatch.setattr(devices, "LIST_OF_NVIDIA", tuple(program))
    assert devices_of(PREFIX, "auto", 2, None, {}, tmp_path) == Devices(("0", "1"), 2)


def kfd_node(root: Path, number: int, simd_count: int, minor: int, has_file: bool = True) -> None:
    folder = root / devices.AMD_NODES / str(number)
    folder.mkdir(parents=True)
    (folder / "properties").write_text(f"cpu_cores_count 0\nsimd_count {simd_count}\ndrm_render_minor {minor}\n")
    if has_file:
        (root / "dev" / "dri").mkdir(parents=True, exist_ok=True)
        (root / "dev" / "dri" / f"renderD{minor}").touch()


@pytest.mark.process
def test_auto_counts_what_amd_s_driver_lists_and_this_process_may_open(tmp_path: Path, no_driver: None) -> None:
    kfd_node(tmp_path, 0, 0, 0)  # a processor
    kfd_node(tmp_path, 1, 304, 128)
    kfd_node(tmp_path, 2, 304, 129, has_file=False)
    kfd_node(tmp_path, 10, 304, 130)
    assert devices_of(PREFIX, "auto", 1, None, {}, tmp_path) == Devices(("0", "1"))


@pytest.mark.process
def test_auto_is_refused_on_a_machine_without_any(tmp_path: Path, no_driver: None) -> None:
    with pytest.raises(ConfigError, match=r"^hydra\.launcher\.devices: auto finds none: no GPU of NVIDIA's or AMD's"):
        devices_of(PREFIX, "auto", 1, None, {}, tmp_path)


def test_open_files_of_each_device_s_forkserver_count() -> None:
    assert most_workers(n_forkservers=600) < most_workers(n_forkservers=1)


PRETENDED = ["0", "3", "GPU-8932f937", "MIG-63feeb45/1/0"]
SEEN = "import os\nSEEN = {name: os.environ.get(name, '') for name in NAMES}\n"
VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "TF_FORCE_GPU_ALLOW_GROWTH")


class JobsOnDevices:
    """Jobs that tell what the process sees, and what it saw when its first module was imported."""

    def enter(self) -> None:
        pass

    def run(self, ending: str, started: str, other: str) -> Outcome:
        import seen_at_import  # type: ignore[import-not-found]

        Path(started).write_text(str(os.getpid()))
        if ending == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        while not Path(other).exists():
            time.sleep(0.005)
        now = {name: os.environ.get(name, "") for name in VARIABLES}
        text = "\n".join(
            [now["CUDA_VISIBLE_DEVICES"], str(os.getpid()), str(now == seen_at_import.SEEN), *now.values()]
        )
        return Outcome(SegmentResult(0.0, 0.5), text.encode())


@pytest.fixture
def new_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., WorkerPool]]:
    """Pools on pretended devices, whose workers preload a module that notes what it sees."""
    (tmp_path / "seen_at_import.py").write_text(f"NAMES = {VARIABLES}\n{SEEN}")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[WorkerPool] = []

    def make(names: list[str], per_device: int, n_workers: int | None = None, **env: str) -> WorkerPool:
        found = Devices(tuple(names), per_device)
        made.append(WorkerPool(JobsOnDevices(), n_workers or found.n_slots, ["seen_at_import"], env, 4000.0, found))
        return made[-1]

    yield make
    for pool in made:
        pool.stop()


def batch(pool: WorkerPool, folder: Path, name: str, n_dying: int = 0, n_jobs: int = 8) -> list[JobAnswer]:
    """The answers of so many jobs, all of which run at once."""
    go = folder / f"{name}-go"
    started = [folder / f"{name}-{number}" for number in range(n_jobs)]
    futures = [
        pool.submit(("die" if number < n_dying else "live", str(path), str(go))) for number, path in enumerate(started)
    ]
    wait_for(lambda: all(path.exists() for path in started))
    go.touch()
    return [future.result(timeout=60) for future in futures]


@pytest.mark.process
def test_each_job_sees_its_own_device_from_the_first_import_on_also_after_its_worker_was_replaced(
    new_pool: Callable[..., WorkerPool], tmp_path: Path
) -> None:
    pool, environment = new_pool(PRETENDED, 2), dict(os.environ)
    seen: dict[str, list[str]] = {name: [] for name in PRETENDED}
    for name, n_dying in (("first", 0), ("dying", 5), ("again", 0)):
        answers = batch(pool, tmp_path, name, n_dying)
        for answer in answers[:n_dying]:
            assert answer.result.end is SegmentEnd.DIED
        places = Counter(answer.result.place for answer in answers)
        assert places == {"gpu 0": 2, "gpu 3": 2, "GPU-8932f937": 2, "MIG-63feeb45/1/0": 2}
        for answer in answers[n_dying:]:
            device, process, was_so_at_import, *values = answer.payload.decode().split("\n")
            assert was_so_at_import == "True"
            assert answer.result.place.removeprefix("gpu ") == device
            assert values == [device, device, "PCI_BUS_ID", "true"]
            seen[device].append(process)
    assert dict(os.environ) == environment
    # Two workers a device at a time, and five that were replaced.
    assert sum(len(set(processes)) for processes in seen.values()) == 8 + 5
    owners = [process for processes in seen.values() for process in set(processes)]
    assert len(owners) == len(set(owners))


@pytest.mark.process
def test_a_forkserver_that_was_killed_is_replaced_by_one_of_its_own_device(new_pool, tmp_path: Path) -> None:
    pool = new_pool(["4", "5"], 1)

    def workers_of(name: str) -> list[psutil.Process]:
        told = [answer.payload.decode().split("\n")[:3] for answer in batch(pool, tmp_path, name, n_jobs=2)]
        assert sorted(device for device, _, _ in told) == ["4", "5"]
        assert {was_so_at_import for _, _, was_so_at_import in told} == {"True"}
        return [psutil.Process(int(process)) for _, process, _ in told]

    workers = workers_of("before")
    for server in {worker.ppid() for worker in workers}:
        os.kill(server, signal.SIGKILL)
    wait_for(lambda: not any(worker.is_running() for worker in workers))
    assert not set(workers) & set(workers_of("after"))


@pytest.mark.process
def test_fewer_workers_than_slots_have_a_device_each_and_memory_as_they_like(new_pool, tmp_path: Path) -> None:
    pool = new_pool(["0", "1", "2"], 1, n_workers=2)
    answers = batch(pool, tmp_path, "two", n_jobs=2)
    assert sorted(answer.payload.decode().split("\n")[0] for answer in answers) == ["0", "1"]
    assert {answer.payload.decode().split("\n")[-1] for answer in answers} == {""}


class JobsOnCuda:
    """Jobs that count the devices that NVIDIA's driver shows to the process."""

    def enter(self) -> None:
        pass

    def run(self) -> Outcome:
        driver, n_devices = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0)
        if driver.cuInit(0) == 0:
            driver.cuDeviceGetCount(ctypes.byref(n_devices))
        return Outcome(SegmentResult(0.0, float(n_devices.value)))


@pytest.mark.process
def test_a_real_gpu_is_found_and_its_worker_alone_sees_it() -> None:
    try:
        found = devices_of(PREFIX, "auto", 2, None)
        ctypes.CDLL("libcuda.so.1")
    except (ConfigError, OSError) as error:
        pytest.skip(f"no GPU of NVIDIA's here: {error}")
    assert found is not None
    # The other worker's device isn't there.
    pair = Devices((found.names[0], "63"))
    pool = WorkerPool(JobsOnCuda(), 2, [], {}, 4000.0, pair)
    try:
        results = [future.result(timeout=60).result for future in [pool.submit(()) for _ in range(2)]]
    finally:
        pool.stop()
    assert {result.place: result.value for result in results} == {devices.place(pair.names[0]): 1.0, "gpu 63": 0.0}


@pytest.mark.process
def test_what_the_user_sets_for_all_workers_stays(new_pool, tmp_path: Path) -> None:
    pool = new_pool(["1"], 2, n_workers=1, TF_FORCE_GPU_ALLOW_GROWTH="false")
    (answer,) = batch(pool, tmp_path, "one", n_jobs=1)
    assert answer.payload.decode().split("\n")[3:] == ["1", "1", "PCI_BUS_ID", "false"]
