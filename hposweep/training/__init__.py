"""Trials that train Keras models: the only rooms that import TensorFlow, Keras or d2l."""

import os

# A folder in memory, where TensorFlow finds and leaves compiled programs: see `xla_cache`.
XLA_FOLDER = "ram://hposweep"
XLA_FLAGS = f"--tf_xla_persistent_cache_directory={XLA_FOLDER} --tf_xla_persistent_cache_device_types=CPU"

# TensorFlow reads these when it is imported, which may be at the start of a worker, long before its first job.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# oneDNN is off by default on some processors, where convolutions then take three times as long.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_XLA_FLAGS", XLA_FLAGS)
