"""Exports of sweeps to other tools."""
