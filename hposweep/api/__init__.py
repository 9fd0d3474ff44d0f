"""Sweeps in Python, for notebooks and scripts: `hposweep.tune` runs one, `hposweep.load` opens its folder."""
