"""The names of the files that a job which retrains a winner leaves in its folder, for its user."""

MODEL = "model.keras"
MODEL_CONFIG = "model.yaml"
OUTPUT = "output.txt"  # what it printed
TEST_RESULT = "test.json"
