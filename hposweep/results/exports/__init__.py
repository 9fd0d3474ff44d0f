"""Sweeps for other tools to show."""
