"""Our own Hydra app: what it runs, the types of its config, and what must hold of that."""
