"""Hydra's scan for plugins, done once, in the forkserver: it takes longer than most trials of a small objective."""

from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals

setup_globals()
Plugins.instance()
