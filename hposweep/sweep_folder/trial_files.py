"""The files that hposweep keeps of a trial: where they are, and who may read and remove them.

They stand in `hposweep/` inside of the trial's job folder, where no app has files of its own. Sweeps that began with
schema 1 kept them in the job's folder itself, and stay so.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from hposweep.errors import ConfigError
from hposweep.sweep_folder import learning_curve

FOLDER = "hposweep"
# Journals of this schema are those of sweeps whose files stand in the job's folder itself.
SCHEMA_WITHOUT_FOLDER = 1


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

    @property
    def job_dir(self) -> Path:
        """The Hydra job's own folder, which is the app's."""
        return self.sweep_dir / self.job_folder

    @property
    def folder(self) -> Path:
        return self.job_dir if self.schema == SCHEMA_WITHOUT_FOLDER else self.job_dir / FOLDER

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
            ConfigError: if a link is in its place.
        """
        if self.folder.is_symlink():
            raise ConfigError(
                f"{self.folder}: is a link; hposweep keeps its files of a trial in the job's folder alone"
            )
        self.folder.mkdir(parents=True, exist_ok=True)

    def read_curve(self) -> list[dict[str, float]]:
        """The rows of the learning curve; none where the trial has left none.

        Raises:
            ConfigError: if somebody has damaged it.
        """
        return learning_curve.read(self.learning_curve) if self._is_in_the_sweep(self.learning_curve) else []

    def read_data_summary(self) -> dict[str, float]:
        """What our own objective has left of its data; nothing where the trial is of another one.

        Raises:
            ConfigError: if somebody has damaged it.
        """
        path = self.data_summary
        if not self._is_in_the_sweep(path) or not path.is_file():
            return {}
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            summary = None
        if not isinstance(summary, dict):
            raise ConfigError(f"{path}: damaged; it must be JSON")
        return summary

    def remove_checkpoints(self) -> None:
        """Removes what the trial would go on from; what is linked is left alone."""
        if self._is_in_the_sweep(self.checkpoint.parent):
            self.checkpoint.unlink(missing_ok=True)
            # Removes nothing through a link, nor the link itself.
            shutil.rmtree(self.checkpoint_dir, ignore_errors=True)

    def _is_in_the_sweep(self, path: Path) -> bool:
        """Whether the trial has a folder, and the path leads to where it seems to: in the sweep's folder."""
        if not self.job_folder or not path.is_relative_to(self.sweep_dir):  # an absolute folder
            return False
        steps = path.relative_to(self.sweep_dir).parts
        if ".." not in steps and not any(
            os.path.islink(self.sweep_dir.joinpath(*steps[: n + 1]))  # noqa: PTH114 (a third of the time)
            for n in range(len(steps))
        ):
            return True
        return path.resolve().is_relative_to(self.sweep_dir.resolve())
