"""Reads the arguments of a command, and refuses wrong ones in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from hposweep.errors import ConfigError


class OneLineParser(argparse.ArgumentParser):
    """argparse's parser, which raises a ConfigError instead of printing its usage and exiting with 2."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message.removeprefix('argument ')}; see {self.prog} --help")
