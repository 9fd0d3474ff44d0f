"""What people read about a sweep, made from its journal and learning curves at any time; the tuner never reads it."""
