"""Worker processes: warm, replaceable, and gone with the process that started them. Knows nothing of Hydra."""
