"""The names of the files that our own objective leaves in its job's folder, for its user."""

MODEL = "model.keras"
MODEL_CONFIG = "model.yaml"
OUTPUT = "output.txt"  # what it printed
TENSORBOARD = "tensorboard"  # folder
TEST_RESULT = "test.json"
