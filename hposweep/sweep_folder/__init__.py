"""The folder of a sweep: one module for each file on disk."""
