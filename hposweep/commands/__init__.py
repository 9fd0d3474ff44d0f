"""What is done with a sweep's folder: `python -m hposweep <command> outputs/<sweep>`. One file each, thin."""

COMMANDS = ("best", "compare", "completion", "export", "report", "reproduce", "resume", "retrain")
