import logging


class ColourFormatter(logging.Formatter):
    """Green lines."""

    def format(self, record: logging.LogRecord) -> str:
        return f"\x1b[32m{super().format(record)}\x1b[0m"
