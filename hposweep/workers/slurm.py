"""A pool of Slurm jobs: one for each job of the sweep, that Slurm queues, places, limits and preempts.

What a pool has to remember stands in a folder of the sweep's: which job of the sweep is which of Slurm's, written
before Slurm is asked, and the answers. So another controller finds the jobs of one that was killed.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from hposweep.errors import ConfigError
from hposweep.failure import line_of_exception
from hposweep.shown_text import plural
from hposweep.trial import SegmentEnd, SegmentResult
from hposweep.workers import slurm_job
from hposweep.workers.agent import AgentSpec
from hposweep.workers.local.worker import JobAnswer
from hposweep.workers.remote import Refusals
from hposweep.workers.slots import cut_off_after
from hposweep.workers.slurm_commands import (
    TIMEOUT,
    ListedJob,
    end_by,
    end_jobs,
    end_jobs_named,
    last_state,
    listed_jobs,
)
from hposweep.workers.slurm_job import TIME_LIMIT, AnswerFolder, NamedJob, TrialPaths

log = logging.getLogger(__name__)

SECONDS_TO_COME_TOGETHER = 0.05  # for jobs that are submitted in one turn of the tuner: they become one array
SECONDS_BETWEEN_LOOKS = 0.2  # for answers
SECONDS_BETWEEN_QUESTIONS = 2.0  # to Slurm; more where it has more jobs of ours
JOBS_A_SECOND_OF_WAITING = 500
SECONDS_BETWEEN_QUESTIONS_OF_AN_END = 0.5
MOST_JOBS_OF_AN_ARRAY = 500  # Slurm takes up to MaxArraySize, 1,000 by default
SECONDS_BEFORE_ANOTHER_TRY = 10.0  # where Slurm takes no jobs now
MOST_SECONDS_TO_CANCEL = 10.0
TIMES_MISSING = 2  # a network file system may show an answer later than Slurm tells that the job is gone
JOB_NAME = re.compile(r"\d+(_\d+)?")  # `Trial.job_id`, or the number of another sweeper's job
# Nothing is wrong with a submission that Slurm refuses so: it is made again.
FOR_NOW = ("Unable to contact", "timed out", "try again", "temporarily", "limit", "Connection refused")


@dataclass(eq=False)
class _Job:
    """A job of the sweep, from its submission to its answer."""

    named: NamedJob
    future: Future[JobAnswer] = field(default_factory=Future)
    slurm_id: str = ""
    batch: str = ""  # the name of its array
    index: int = 0  # in that
    node: str = ""
    seconds: float = 0.0  # that it has run
    has_begun: bool = False
    n_missing: int = 0  # times in a row that Slurm knew nothing of it
    is_cut_off: bool = False
    ended_at: float | None = None  # when Slurm was asked to end it

    @property
    def name(self) -> str:
        return self.named.name


class SlurmPool:
    """Runs jobs on Slurm, `n_workers` at once; what comes together is one array.

    Args:
        spec: what the agent of each job has to know.
        n_workers: jobs that Slurm has at once, waiting ones too.
        folder: of the sweep's, for what the pool has to remember; on the file system that all nodes share.
        submitit_folder: for submitit's files of each job, as it has it: with %j for the job's number.
        parameters: of all jobs, in the words of `submitit.AutoExecutor.update_parameters`.
        named: the name of the job that has these arguments, and what has to be known of its trial.
        max_num_timeout: jobs of one trial that may end at their time limit; None: any.
    """

    def __init__(
        self,
        spec: AgentSpec,
        n_workers: int,
        folder: Path,
        submitit_folder: str,
        parameters: Mapping[str, Any],
        named: Callable[[tuple[Any, ...]], tuple[str, TrialPaths]],
        max_num_timeout: int | None = None,
    ) -> None:
        self.n_workers = n_workers
        self._spec, self._folder, self._submitit_folder = spec, folder, submitit_folder
        self._parameters, self._named, self._max_num_timeout = dict(parameters), named, max_num_timeout
        self._answers, self._read = AnswerFolder(folder / "answers"), AnswerFolder(folder / "read")
        self._spec_file = folder / f"spec-{secrets.token_hex(8)}"
        self._sweep = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
        self._name = self._parameters.pop("name", "hposweep")
        self._queue: collections.deque[_Job] = collections.deque()
        self._live: dict[str, _Job] = {}  # those that Slurm was asked to run, by name
        self._former: dict[str, _Job] = {}  # those of a controller that was killed, until it is known what to do
        self._next_batch = 0
        self._n_timeouts: Counter[str] = Counter()  # by trial
        self._refusals = Refusals()
        self._refused_nodes: dict[str, None] = {}
        self._has_served = False
        self._error: Exception | None = None  # of our own, with which nobody looks after the jobs any more
        self._ask_at = self._submit_at = 0.0
        self._is_started = False
        self._is_stopped = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, arguments: tuple[Any, ...], timeout_s: float | None = None) -> Future[JobAnswer]:
        """Runs a job with these arguments of `WorkerState.run` as soon as fewer than `n_workers` do."""
        self.start()
        name, paths = self._named(arguments)
        job = _Job(NamedJob(name, arguments, timeout_s, paths))
        with self._lock:
            self._queue.append(job)
        self._wake.set()
        return job.future

    def adopted(self, name: str) -> Future[JobAnswer] | None:
        """The job of this name that a former controller has submitted; None where it is lost, or never was."""
        self.start()
        with self._lock:
            job = self._former.pop(name, None)
            if job is None:
                return None
            if not job.slurm_id:  # it has answered
                self._read.move(name, self._answers)
            self._live[name] = job
        return job.future

    def cancel(self, future: Future[JobAnswer]) -> None:
        """Kills the job of this future, which then is done."""
        with self._lock:
            waiting = next((job for job in self._queue if job.future is future), None)
            if waiting is not None:
                self._queue.remove(waiting)
            for job in self._live.values():
                if job.future is future:
                    job.is_cut_off = True
        self._wake.set()
        if waiting is not None:
            future.set_result(cut_off_after(0.0))

    def check(self) -> None:
        """Raises a ConfigError if no job can run, with why the first one could not."""
        if self._error is not None:
            raise self._error
        self._refusals.check(has_served=self._has_served)

    def overview(self) -> str:
        """The jobs with their nodes, and how many wait for one."""
        with self._lock:
            nodes = Counter(job.node for job in self._live.values() if job.has_begun)
            n_waiting = len(self._queue) + len(self._live) - sum(nodes.values())
        if not nodes:
            return f"{plural(n_waiting, 'job')} queued" if n_waiting else "no job in Slurm"
        text = f"{plural(sum(nodes.values()), 'job')} on {plural(len(nodes), 'node')}"
        return f"{text}, {n_waiting} queued" if n_waiting else text

    def start(self) -> None:
        """Finds what a former controller has left, and begins to look after jobs, if that has not been done.

        Raises:
            ConfigError: if Slurm doesn't answer.
        """
        if self._is_started:
            return
        self._is_started = True
        for answers in (self._answers, self._read):
            answers.folder.mkdir(parents=True, exist_ok=True)
        self._spec_file.write_bytes(cloudpickle.dumps(self._spec))
        try:
            self._find_former(listed_jobs())
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(f"hydra/launcher=hposweep_slurm: squeue fails ({_reason(error)})") from None
        self._thread = threading.Thread(target=self._look, daemon=True, name="hposweep-slurm")
        self._thread.start()

    def stop(self) -> None:
        """Ends all jobs of the sweep, a former controller's too."""
        if not self._is_started:
            return
        self._is_stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            jobs = [*self._queue, *self._live.values()]
            former, self._former = self._former, {}
            self._queue.clear()
            self._live.clear()
        _end([*jobs, *former.values()])
        for job in jobs:
            job.future.set_result(cut_off_after(job.seconds))
        shutil.rmtree(self._folder, ignore_errors=True)

    def _look(self) -> None:
        while not self._is_stopped.is_set():
            if self._wake.wait(SECONDS_BETWEEN_LOOKS):
                self._wake.clear()
                self._is_stopped.wait(SECONDS_TO_COME_TOGETHER)
            try:
                self._turn()
            except (OSError, subprocess.SubprocessError) as error:
                log.warning("Slurm doesn't answer: %s; the sweep waits for it", _reason(error))
                self._is_stopped.wait(SECONDS_BEFORE_ANOTHER_TRY)
            except Exception as error:
                self._error = error
                return

    def _turn(self) -> None:
        self._submit_queued()
        if not self._live:
            return
        self._end_cut_off()
        self._read_answers()
        if time.monotonic() >= self._ask_at:
            self._compare(listed_jobs())

    # What is submitted.

    def _submit_queued(self) -> None:
        if time.monotonic() < self._submit_at:
            return
        with self._lock:
            n_jobs = min(self.n_workers - len(self._live), len(self._queue), MOST_JOBS_OF_AN_ARRAY)
            jobs = [self._queue.popleft() for _ in range(n_jobs)]
            self._live.update((job.name, job) for job in jobs)
        if not jobs:
            return
        self._end_former()
        batch = self._noted_batch(jobs)
        try:
            slurm_ids = self._submitted(batch, jobs)
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            # It may have come through, and nobody been told.
            end_jobs_named(batch)
            self._take_back(jobs, _reason(error))
            return
        with self._lock:
            for job, slurm_id in zip(jobs, slurm_ids, strict=True):
                job.slurm_id = slurm_id
        self._ask_soon(SECONDS_BETWEEN_QUESTIONS)

    def _noted_batch(self, jobs: Sequence[_Job]) -> str:
        """The name of the array that these jobs become, which is on disk with their names."""
        number, self._next_batch = self._next_batch, self._next_batch + 1
        batch = f"{self._name}-{self._sweep}-{number}"
        content = []
        for index, job in enumerate(jobs):
            self._answers.remove(job.name)
            self._read.remove(job.name)
            job.batch, job.index = batch, index
            content.append({"name": job.name, "paths": dataclasses.asdict(job.named.paths)})
        path = self._folder / f"batch-{number}.json"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"slurm_name": batch, "jobs": content}))
        temporary.replace(path)
        return batch

    def _submitted(self, batch: str, jobs: Sequence[_Job]) -> list[str]:
        """Slurm's ids of these jobs, which it has from now on."""
        excluded = [*filter(None, [self._parameters.get("slurm_exclude")]), *self._refused_nodes]
        # Who loses a job starts its segment again, at once: Slurm would after two minutes, and perhaps beside that.
        additional = {"no-requeue": True, **self._parameters.get("slurm_additional_parameters", {})}
        parameters = {
            **self._parameters,
            "name": batch,
            "slurm_exclude": ",".join(excluded) or None,
            "slurm_additional_parameters": additional,
        }
        with _outside_of_slurm():
            executor = submitit.AutoExecutor(self._submitit_folder, cluster="slurm")
            executor.update_parameters(**parameters)
            with executor.batch():
                found = [
                    executor.submit(slurm_job.run, str(self._spec_file), str(self._answers.folder), job.named)
                    for job in jobs
                ]
        return [each.job_id for each in found]

    def _take_back(self, jobs: Sequence[_Job], reason: str) -> None:
        """Puts jobs that Slurm has refused back into the queue, or ends the sweep where it never took any."""
        is_for_now = any(word in reason for word in FOR_NOW)
        if not self._has_served and not is_for_now:
            self._refusals.add(f"hydra/launcher=hposweep_slurm: {reason}")
            return
        if self._refused_nodes and not is_for_now:
            # No node is left that could serve: `check` tells why the first one can't any more.
            self._has_served = False
            return
        log.warning("Slurm takes no job now: %s; the sweep tries it again", reason)
        self._submit_at = time.monotonic() + SECONDS_BEFORE_ANOTHER_TRY
        cut_off = [job for job in jobs if job.is_cut_off]
        with self._lock:
            for job in jobs:
                del self._live[job.name]
            self._queue.extendleft(job for job in reversed(jobs) if not job.is_cut_off)
        for job in cut_off:
            job.future.set_result(cut_off_after(0.0))

    # What becomes of it.

    def _end_cut_off(self) -> None:
        with self._lock:
            jobs = [job for job in self._live.values() if job.is_cut_off and job.ended_at is None]
        if not jobs:
            return
        _end(jobs)
        for job in jobs:
            job.ended_at = time.monotonic()
        self._ask_soon(SECONDS_BETWEEN_QUESTIONS_OF_AN_END)

    def _read_answers(self) -> None:
        begun, answered = self._answers.there()
        with self._lock:
            jobs = list(self._live.values())
        for job in jobs:
            if job.name in begun:
                self._has_served = True
                if not job.has_begun:  # else Slurm has told it before
                    job.has_begun, job.node = True, self._answers.node_of(job.name)
            if job.name in answered:
                self._take_answer(job)

    def _take_answer(self, job: _Job) -> None:
        try:
            left = self._answers.read(job.name)
        except ValueError as error:
            self._finish(job, _lost(job, f"{error}"))
            return
        answer = left.answer
        if left.refusal:
            self._refuse(answer.result.place, left.refusal)
            if not self._has_served:
                return  # `check` ends the sweep
        if left.warning == TIME_LIMIT and answer.result.end is SegmentEnd.LOST:
            answer = self._at_the_time_limit(job, answer.result.duration_s)
        self._finish(job, answer)

    def _compare(self, listed: Sequence[ListedJob]) -> None:
        """Looks for jobs that Slurm has put back into its queue, and for those that are gone without an answer."""
        found = {(each.name, each.index): each for each in listed}
        with self._lock:
            jobs = [job for job in self._live.values() if job.slurm_id]
        for job in jobs:
            entry = found.get((job.batch, job.index))
            if job.ended_at is not None:
                if entry is None or time.monotonic() - job.ended_at > MOST_SECONDS_TO_CANCEL:
                    self._finish(job, cut_off_after(job.seconds))
            elif entry is None:
                self._miss(job)
            elif not entry.is_waiting:
                job.n_missing, job.has_begun, job.node, job.seconds = 0, True, entry.node, entry.seconds
            elif job.has_begun:
                end_jobs([job.slurm_id])
                self._finish(job, _lost(job, f"Slurm has put the job back into its queue ({entry.reason})"))
        is_ending = any(job.ended_at is not None for job in jobs)
        pause = max(SECONDS_BETWEEN_QUESTIONS, len(jobs) / JOBS_A_SECOND_OF_WAITING)
        self._ask_at = time.monotonic() + (SECONDS_BETWEEN_QUESTIONS_OF_AN_END if is_ending else pause)

    def _miss(self, job: _Job) -> None:
        """Takes a job that Slurm has no more for ended, if its answer doesn't come."""
        job.n_missing += 1
        if job.n_missing < TIMES_MISSING:
            return
        try:
            self._answers.read(job.name)  # by its name: a folder's list may be old
        except FileNotFoundError:
            pass
        except ValueError:
            return
        else:
            self._take_answer(job)
            return
        state, by_signal = last_state(job.slurm_id)
        if state == TIMEOUT:
            self._finish(job, self._at_the_time_limit(job, job.seconds))
            return
        reason = f"the Slurm job {job.slurm_id} is gone: {state or 'unknown'}"
        if self._answers.begun_at(job.name) is None and state in ("FAILED", "COMPLETED"):
            self._refuse(job.node, f"{reason}, before it began{self._where_it_tells(job)}")
            if self._has_served:
                self._finish(job, _lost(job, reason))
            return
        result = SegmentResult(job.seconds, failure=reason, end=end_by(state, by_signal), place=job.node)
        self._finish(job, JobAnswer(result, 0.0))

    def _at_the_time_limit(self, job: _Job, duration_s: float) -> JobAnswer:
        """The answer of a job that has ended at Slurm's time limit for it: it goes on, as long as it gets anywhere."""
        reason = f"ran into hydra.launcher.timeout_min={self._parameters['timeout_min']}"
        trial = job.name.partition("_")[0]
        self._n_timeouts[trial] += 1
        end = SegmentEnd.LOST
        if job.named.paths.saved_at() <= (self._answers.begun_at(job.name) or 0.0):
            end, reason = SegmentEnd.DIED, f"{reason} without a new checkpoint"
        elif self._max_num_timeout is not None and self._n_timeouts[trial] > self._max_num_timeout:
            end, reason = SegmentEnd.TIMED_OUT, f"{reason} more often than max_num_timeout={self._max_num_timeout}"
        return JobAnswer(SegmentResult(duration_s, failure=reason, end=end, place=job.node), 0.0)

    def _refuse(self, node: str, reason: str) -> None:
        """Says once why a node can't serve, and sends no more jobs there."""
        self._refusals.add(reason)
        if node:
            self._refused_nodes[node] = None

    def _where_it_tells(self, job: _Job) -> str:
        ending = "out" if self._parameters.get("stderr_to_stdout") else "err"
        path = Path(self._submitit_folder.replace("%j", job.slurm_id)) / f"{job.slurm_id}_0_log.{ending}"
        return f"; see {path}" if path.exists() else f"; does its node see {self._folder.parent}?"

    def _finish(self, job: _Job, answer: JobAnswer) -> None:
        with self._lock:
            self._live.pop(job.name, None)
        # Kept, though read: it counts when the tuner has written it down.
        self._answers.move(job.name, self._read)
        job.future.set_result(cut_off_after(answer.result.duration_s) if job.is_cut_off else answer)
        self._wake.set()

    def _ask_soon(self, seconds: float) -> None:
        self._ask_at = min(self._ask_at, time.monotonic() + seconds)

    # What a former controller has left.

    def _find_former(self, listed: Sequence[ListedJob]) -> None:
        found = {(each.name, each.index): each for each in listed}
        _, answered = self._answers.there()
        answered |= self._read.there()[1]
        for path in self._folder.glob("batch-*.json"):
            try:
                batch, jobs = self._read_batch(path)
            except (KeyError, TypeError, ValueError) as error:
                log.warning("%s: damaged (%s); its jobs are not found without it", path, line_of_exception(error))
                continue
            for job in jobs:
                entry = found.get((batch, job.index))
                if entry is not None:
                    job.slurm_id, job.has_begun = entry.slurm_id, not entry.is_waiting
                if entry is not None or job.name in answered:
                    self._former[job.name] = job

    def _read_batch(self, path: Path) -> tuple[str, list[_Job]]:
        """The name of an array and its jobs.

        Raises:
            KeyError, TypeError, ValueError: if the file is damaged, or names what is none of this sweep's.
        """
        number = int(path.stem.removeprefix("batch-"))
        self._next_batch = max(self._next_batch, number + 1)
        content = json.loads(path.read_bytes())
        batch = str(content["slurm_name"])
        if not batch.endswith(f"-{self._sweep}-{number}"):
            raise ValueError(f"{batch} is of another sweep")
        jobs = []
        for index, known in enumerate(content["jobs"]):
            if JOB_NAME.fullmatch(known["name"]) is None:
                raise ValueError(f"{known['name']} is no job")
            paths = TrialPaths(str(known["paths"]["end_notice"]), tuple(map(str, known["paths"]["checkpoints"])))
            jobs.append(_Job(NamedJob(known["name"], (), None, paths), batch=batch, index=index))
        return batch, jobs

    def _end_former(self) -> None:
        """Ends what nobody has adopted, before anything is submitted: it is of attempts that are over."""
        with self._lock:
            former, self._former = self._former, {}
        _end(list(former.values()))


def _end(jobs: Sequence[_Job]) -> None:
    submitted = [job for job in jobs if job.slurm_id]
    end_jobs([job.slurm_id for job in submitted], [job.slurm_id for job in submitted if job.has_begun])


def _lost(job: _Job, reason: str) -> JobAnswer:
    return JobAnswer(SegmentResult(job.seconds, failure=reason, end=SegmentEnd.LOST, place=job.node), 0.0)


def _reason(error: Exception) -> str:
    """The first line of what a command has said, or the exception in one line."""
    lines = [line.strip() for line in str(getattr(error, "stderr", "") or error).splitlines() if line.strip()]
    return lines[0] if lines else line_of_exception(error)


@contextlib.contextmanager
def _outside_of_slurm() -> Iterator[None]:
    """Within it a job is submitted as from outside, where the controller is a Slurm job itself."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    config = os.environ.get("SLURM_CONF")
    with submitit.helpers.clean_env():
        if config is not None:
            os.environ["SLURM_CONF"] = config
        yield
