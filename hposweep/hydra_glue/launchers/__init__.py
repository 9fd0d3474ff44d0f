"""Hydra launchers as workers: our own one by one, any other in batches."""
