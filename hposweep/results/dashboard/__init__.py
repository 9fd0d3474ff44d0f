"""Pages that live: the sweeps of a folder in a browser, while they run."""
