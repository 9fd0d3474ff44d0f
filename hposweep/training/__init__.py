"""Trials that train Keras models: the only rooms that import TensorFlow, Keras or d2l."""
