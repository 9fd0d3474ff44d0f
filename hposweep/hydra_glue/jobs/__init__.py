"""A segment as a Hydra job: its overrides, its config, and how it is run in a worker."""
