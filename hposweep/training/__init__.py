"""Trials that train Keras models: the only rooms that import TensorFlow, Keras or d2l."""

import os

# TensorFlow reads these when it is imported, which may be at the start of a worker, long before its first job.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# oneDNN is off by default on some processors, where convolutions then take three times as long.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
