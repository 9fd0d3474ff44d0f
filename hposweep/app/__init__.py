"""Our own Hydra app: its main function, the types of its config, and the checks of it."""
