"""What reads a command's arguments, and refuses wrong ones in one line as everything else does."""

from __future__ import annotations

import argparse
from typing import NoReturn

from hposweep.errors import ConfigError


class OneLineParser(argparse.ArgumentParser):
    """argparse's parser, with a ConfigError where that prints its usage and exits with 2."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message.removeprefix('argument ')}; see {self.prog} --help")
