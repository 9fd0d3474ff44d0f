"""Self-contained pages: they make no network request."""
