"""All that stands beside an objective while it runs."""
