"""Dask workers that Slurm starts, by dask-jobqueue."""

from pathlib import Path

import pytest

import hposweep
from support.apps import App
from support.processes import processes_in, wait_for
from support.slurm import slurm

pytestmark = pytest.mark.process

PROGRAM = """
import os
import hydra


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    return float(os.environ["SLURM_JOB_ID"]) * 0 + cfg.x


if __name__ == "__main__":
    main()
"""
CONFIG = """
defaults:
  - _self_
  - override hydra/sweeper: hposweep
  - override hydra/launcher: hposweep_dask
x: 0
hydra:
  launcher:
    n_workers: 2
    cluster:
      _target_: dask_jobqueue.SLURMCluster
      queue: main
      cores: 1
      processes: 1
      memory: 400MB
      walltime: "00:10:00"
      interface: lo
      log_directory: logs
      scheduler_options: {dashboard_address: "127.0.0.1:0"}
"""


def test_a_sweep_runs_on_the_jobs_that_its_cluster_submits_and_cancels_them_at_its_end(tmp_path: Path) -> None:
    app = App(tmp_path / "app")
    app.write("main.py", PROGRAM)
    app.write("conf/config.yaml", CONFIG)
    with slurm() as cluster:
        done = app.run("--multirun", "hydra.sweep.dir=swept", "hydra.sweeper.n_trials=4", "x=interval(0,1)")
        assert done.exit_code == 0, done.err
        wait_for(lambda: not cluster.jobs())
    assert list(hposweep.load(app.folder / "swept").trials["state"]) == ["COMPLETE"] * 4
    wait_for(lambda: processes_in(app.folder) == [])
