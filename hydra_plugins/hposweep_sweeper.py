"""The sweeper as Hydra finds it. Hydra imports this at the start of every app, so it is thin and imports late.

Hydra 1.3 instantiates plugins of the namespace `hydra_plugins` alone, and may execute this module twice: nobody imports
its classes.
"""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


def _open_node() -> DictConfig:
    """A mapping that takes new keys from the command line without a `+`."""
    return DictConfig({}, flags={"struct": False})


@dataclass
class HposweepSweeperConf:
    """The sweeper's keys, `hydra.sweeper.*`."""

    _target_: str = "hydra_plugins.hposweep_sweeper.HposweepSweeper"
    # Else Hydra would build searcher and scheduler itself, without search space and seed.
    _recursive_: bool = False
    # `_self_` comes first: as the last one its null would wipe out the searcher that was chosen.
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"searcher": "random"}, {"scheduler": "fifo"}])

    n_trials: int | None = 20  # null: all configurations, where there are not endlessly many
    seed: int = 0
    dry_run: bool = False
    metric: str = "value"
    direction: Any = "minimize"
    max_failure_rate: float = 0.5
    max_retries: int = 2
    trial_timeout: float | None = None
    time_budget: float | None = None
    max_batch_size: int | None = None  # trials that another launcher gets at once; null: all (Hydra's basic: 1)
    progress: str = "auto"
    dashboard: bool = False  # a page in the browser that shows the sweep while it runs
    params: Any = field(default_factory=_open_node)  # Hydra's own node for what is searched; goes before search_space
    search_space: Any = field(default_factory=_open_node)  # hyperparameters under the config keys that they override
    own_spaces: str | None = None  # config directory of files <group>/<option>.yaml: what each option brings along
    initial_configs: Any = None  # a list of configurations that are tried first; they may be partial
    learn_from: Any = None  # a list of folders of other sweeps, from whose results the searcher learns first
    n_seeds: int = 1  # trials of each configuration, each with a seed of its own; the searcher learns their mean
    confirm_top: int = 0  # how many of the best run again at the end, under 4 new seeds each; the best mean wins
    searcher: Any = None  # who proposes configurations, chosen by hydra/sweeper/searcher=NAME; random
    scheduler: Any = None  # who decides how long a trial trains, chosen by hydra/sweeper/scheduler=NAME; fifo
    seed_key: str | None = None
    budget_key: str | None = None
    target_epoch: int | None = None  # set for each job of a scheduler that trains to an epoch: hposweep.target_epoch()
    final_overrides: list[str] | None = None
    final_metric: str | None = None


class HposweepSweeper(Sweeper):
    """Hands the sweep over to `hposweep.hydra_glue.sweeper`."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        try:
            from hposweep.hydra_glue.sweeper import HydraSweep
        except KeyboardInterrupt:  # Ctrl-C in the first seconds
            raise SystemExit(130) from None

        self.hydra_sweep = HydraSweep(self.options, hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> Any:
        return self.hydra_sweep.run(arguments)


def _conf_dir() -> Path:
    """conf/ beside the package in a checkout, inside of it in a wheel; found without importing the package."""
    spec = importlib.util.find_spec("hposweep")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def _register() -> None:
    """Puts the sweeper, and each searcher and scheduler of conf/, where `hydra/sweeper=hposweep` finds them."""
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="hposweep", node=HposweepSweeperConf, provider="hposweep")
    for role in ("searcher", "scheduler"):
        for path in sorted((_conf_dir() / role).glob("*.yaml")):
            node = OmegaConf.load(path)
            store.store(group=f"hydra/sweeper/{role}", name=path.stem, node=node, provider="hposweep")


_register()
