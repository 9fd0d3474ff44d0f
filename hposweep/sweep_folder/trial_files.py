"""The files that hposweep keeps of a trial: where they are, and who may read and remove them.

They stand in `hposweep/` inside of the trial's job folder, where no app has files of its own. Sweeps that began with
schema 1 kept them in the job's folder itself, and stay so.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hposweep.errors import ConfigError, TakenError
from hposweep.sweep_folder import learning_curve
from hposweep.sweep_folder.files import read_file, remove_temporaries, warn_once, writing

FOLDER = "hposweep"
# Journals of this schema are those of sweeps whose files stand in the job's folder itself.
SCHEMA_WITHOUT_FOLDER = 1
LARGEST_SIZE = 2**53
JOB_ID = re.compile(r"(\d+)_(\d+)")  # `Trial.job_id`: numbers of the trial and of its job
OF_A_NUMBERED_JOB = re.compile(rf"[0-9a-f]+, job {JOB_ID.pattern}, ")  # begins a mark


@dataclass(frozen=True)
class TrialFiles:
    """The files of one trial.

        files = TrialFiles(sweep_dir, trial.folder, history.schema)
        files.read_curve()

    Nothing is read or removed that links, or a damaged journal, put outside of the sweep's folder.
    """

    sweep_dir: Path
    job_folder: str  # relative to the sweep's; empty while the trial has none
    schema: int | None = None  # with which the sweep began; None: the current one
    elsewhere: Path | None = None  # where they stand while something else is in their place

    @property
    def job_dir(self) -> Path:
        """The Hydra job's own folder, which is the app's."""
        return self.sweep_dir / self.job_folder

    @property
    def folder(self) -> Path:
        if self.elsewhere is not None:
            return self.elsewhere
        return self.job_dir if self.schema == SCHEMA_WITHOUT_FOLDER else self.job_dir / FOLDER

    @property
    def job_mark(self) -> Path:
        """Names the job that may write here: the trial's last one."""
        return self.folder / "job"

    @property
    def end_notice(self) -> Path:
        """Stands there once the job is soon to be ended: who runs it makes this file, and the next job removes it."""
        return self.folder / "ends_soon"

    @property
    def learning_curve(self) -> Path:
        return self.folder / learning_curve.FILE_NAME

    @property
    def output(self) -> Path:
        """What the job printed."""
        return self.folder / "output.txt"

    @property
    def failure(self) -> Path:
        """The traceback of a job that failed."""
        return self.folder / "failure.txt"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of our own trainer."""
        return self.folder / "checkpoint.npz"

    @property
    def checkpoint_dir(self) -> Path:
        """What an objective of the user's own keeps to go on from."""
        return self.folder / "checkpoint"

    @property
    def data_summary(self) -> Path:
        """Sizes of the data sets, and the error of always answering the most frequent class."""
        return self.folder / "data.json"

    def make_folder(self) -> None:
        """Makes the folder of these files, for the job that writes them.

        Raises:
            TakenError: if a file or a link is in its place.
            WriteError: if it can't be made.
        """
        if self.folder.is_symlink():
            raise TakenError(f"{self.folder}: is a link; hposweep keeps its files of a trial in the job's folder alone")
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def marked_by(self) -> int | None:
        """The number of the trial whose job has marked the folder last; None where none has, or it is not numbered."""
        path = self.job_mark
        if not self._is_in_the_sweep(path):
            return None
        try:
            found = OF_A_NUMBERED_JOB.match(read_file(path).decode(errors="replace"))
        except OSError:
            return None
        return int(found[1]) if found else None

    def read_curve(self) -> list[dict[str, float]]:
        """The rows of the learning curve; none where the trial has left none, or it is damaged, which is said once."""
        path = self.learning_curve
        if not self._is_in_the_sweep(path):
            return []
        try:
            return learning_curve.read(path)
        except (ConfigError, OSError) as error:
            warn_once(f"{error}; the trial is shown without its curve")
            return []

    def read_data_summary(self) -> dict[str, float]:
        """What our own objective has left of its data; nothing where the trial is of another one.

        What is damaged is done without, which is said once.
        """
        path = self.data_summary
        if not self._is_in_the_sweep(path):
            return {}
        try:
            summary = json.loads(read_file(path))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (ValueError, OSError, RecursionError):
            summary = None
        if isinstance(summary, dict) and all(map(_is_size_or_baseline, summary, summary.values())):
            return summary
        warn_once(f"{path}: damaged; the sizes of the data sets are not known without it")
        return {}

    def clear(self) -> None:
        """Removes what another sweep has left in the place of these files, before the trial's first job.

        What is no folder or is linked is left alone.

        Raises:
            WriteError: if it can't be removed: the trial would go on from it.
        """
        # Not Path.is_dir: it raises where the folder's name is too long.
        if not os.path.isdir(self.folder) or not self._is_in_the_sweep(self.folder):  # noqa: PTH112
            return
        with writing(self.folder):
            if self.schema != SCHEMA_WITHOUT_FOLDER:
                shutil.rmtree(self.folder)
                return
            shutil.rmtree(self.checkpoint_dir, ignore_errors=True)
            of_a_job = (self.job_mark, self.end_notice, self.learning_curve, self.output, self.failure)
            for path in (*of_a_job, self.checkpoint, self.data_summary):
                if path.is_file() or path.is_symlink():
                    path.unlink()

    def remove_temporaries(self) -> None:
        """Removes what killed jobs of the trial have left half-written."""
        whole_files = (self.job_mark, self.checkpoint, self.data_summary, self.failure)
        remove_temporaries(self.folder, {path.name for path in whole_files})

    def remove_checkpoints(self) -> None:
        """Removes what the trial would go on from; what is linked, or can't be removed, is left alone."""
        folder = self.folder
        # Not Path.is_dir: it raises where the folder's name is too long.
        if os.path.isdir(folder) and self._is_in_the_sweep(folder):  # noqa: PTH112
            with contextlib.suppress(OSError):
                self.checkpoint.unlink()
            self.remove_temporaries()
            # Removes nothing through a link, nor the link itself.
            shutil.rmtree(self.checkpoint_dir, ignore_errors=True)

    def _is_in_the_sweep(self, path: Path) -> bool:
        """Whether the trial has a folder, and the path leads to where it seems to: in the sweep's folder."""
        if not self.job_folder or not path.is_relative_to(self.sweep_dir):  # an absolute folder
            return False
        if self.elsewhere is not None:
            return True
        steps = path.relative_to(self.sweep_dir).parts
        # Texts, not paths: a sixth of the time, and each trial is asked for several times.
        step_by_step = itertools.accumulate(steps, os.path.join, initial=str(self.sweep_dir))
        if ".." not in steps and not any(map(os.path.islink, itertools.islice(step_by_step, 1, None))):
            return True
        return path.resolve().is_relative_to(self.sweep_dir.resolve())


def _is_size_or_baseline(name: str, value: object) -> bool:
    """Whether it is a number of examples, a share of them, or the value of some metric."""
    least = -math.inf if name == "baseline" else 0
    return isinstance(value, int | float) and least <= value < LARGEST_SIZE and value != -math.inf
