"""The names of the files that a job leaves in its folder, for those who write them and those who read them."""

CHECKPOINT = "checkpoint.npz"
CHECKPOINT_DIR = "checkpoint"  # of an objective of the user's own
DATA_SUMMARY = "data.json"  # sizes of the data sets, and the error of always answering the most frequent class
FAILURE = "failure.txt"
MODEL = "model.keras"  # of a job that retrains a winner, as are the next two
MODEL_CONFIG = "model.yaml"
OUTPUT = "output.txt"
TEST_RESULT = "test.json"
