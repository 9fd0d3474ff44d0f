"""What people read of a sweep. Made from the journal and the learning curves, at any time; the tuner reads none."""
