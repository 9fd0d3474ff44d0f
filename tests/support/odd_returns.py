"""A sweep whose objectives return and raise odd things, each trial another one, under any launcher."""

from support.apps import App
from support.sweeps import rows

ODD_RETURNS_APP = """
import threading
import hydra
from hydra.core.hydra_config import HydraConfig

class NoRepr:
    def __repr__(self):
        raise RuntimeError("no repr")

class Strange(float):
    lock = None
    def __float__(self):
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")

class Locked:
    def __init__(self, number):
        self.number, self.lock = number, threading.Lock()
    def __float__(self):
        return self.number

class OfTwo(Exception):
    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")

def healthy():
    return 0.5

def unpicklable_exception():
    error = ValueError("with a lock")
    error.lock = threading.Lock()
    raise error

def unreadable_exception():
    raise OfTwo(1, 2)

KINDS = [
    healthy, lambda: 10**400, lambda: NoRepr(), lambda: Strange(1), lambda: threading.Lock(), unpicklable_exception,
    unreadable_exception, lambda: Locked(0.25), lambda: 1j, lambda: (lambda: 1), lambda: float("nan"), healthy,
]

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    return KINDS[HydraConfig.get().job.num]()

if __name__ == "__main__":
    main()
"""
FAILURES = {
    1: f"the objective returned 1{'0' * 96}...; it must return a number",
    2: "the objective returned <__main__.NoRepr object>; it must return a number",
    3: "the objective returned 1.0; it must return a number",
    4: "the objective returned <unlocked _thread.lock object>; it must return a number",
    5: "ValueError: with a lock",
    6: "OfTwo: 1 and 2",
    8: "the objective returned 1j; it must return a number",
    9: "the objective returned <function <lambda>.<locals>.<lambda>>; it must return a number",
}
VALUES = {0: 0.5, 7: 0.25, 11: 0.5}


def check_odd_returns(app: App, *words: str) -> None:
    """Each of them costs its own trial alone."""
    app.write("main.py", ODD_RETURNS_APP)
    done = app.sweep("x=interval(0,1)", "hydra.sweeper.n_trials=12", "hydra.sweeper.max_failure_rate=1", *words)
    assert done.exit_code == 0, done.err + done.out
    table = rows(app.folder / "swept")
    states = dict.fromkeys(FAILURES, "FAILED") | dict.fromkeys(VALUES, "COMPLETE") | {10: "DIVERGED"}
    assert {int(row["trial"]): row["state"] for row in table} == states
    assert {number: float(table[number]["value"]) for number in VALUES} == VALUES
    assert {number: table[number]["failure"] for number in FAILURES} == FAILURES
