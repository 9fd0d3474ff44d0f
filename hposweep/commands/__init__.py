"""Commands on a sweep's folder: `python -m hposweep <command> outputs/<sweep>`. One file for each, thin."""

COMMANDS = (
    "best",
    "compare",
    "completion",
    "dashboard",
    "export",
    "ls",
    "report",
    "reproduce",
    "resume",
    "retrain",
    "show",
)
