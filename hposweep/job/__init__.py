"""What surrounds an objective in its process."""
