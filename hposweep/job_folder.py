"""The names of the files that a job leaves in its folder, for those who write them and those who read them."""

CHECKPOINT = "checkpoint.npz"
DATA_SUMMARY = "data.json"  # sizes of the data sets, and the error of always answering the most frequent class
FAILURE = "failure.txt"
OUTPUT = "output.txt"
