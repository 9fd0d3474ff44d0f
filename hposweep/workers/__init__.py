"""Workers: what runs segments. Knows nothing of Hydra."""
