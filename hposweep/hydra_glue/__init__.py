"""Where Hydra meets the tuner: the sweeper, its overrides and its folders. Translates, and decides nothing."""
