"""What tests of several rooms share: commands in this process and in others, hand-made sweeps, tables."""
