"""Searchers leave the cores to the trials."""

import numpy as np
import pytest

from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.searchers.bayesian import BayesianSearcher
from hposweep.searchers.gaussian_process import GaussianProcess
from hposweep.searchers.one_thread import _libraries, one_blas_thread
from hposweep.trial import Trial


def n_threads() -> list[int]:
    return [library.get() for library in _libraries()]


def test_openblas_has_one_thread_there_and_as_many_as_before_afterwards() -> None:
    before = n_threads()
    assert len(before) == 2, "NumPy's and SciPy's"
    with pytest.raises(ValueError), one_blas_thread():
        assert n_threads() == [1, 1]
        raise ValueError
    assert n_threads() == before


def test_a_proposal_is_computed_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    mean = GaussianProcess.mean

    def spy(self: GaussianProcess, inputs: np.ndarray) -> np.ndarray:
        seen.append(n_threads())
        return mean(self, inputs)

    monkeypatch.setattr(GaussianProcess, "mean", spy)
    searcher = BayesianSearcher(SearchSpace({"x": parse_hyperparameter("uniform(0, 1)")}), seed=0, n_startup=2)
    for number in range(4):
        proposal = searcher.propose(number, ())
        assert isinstance(proposal, dict)
        trial = Trial(number, proposal, seed=0)
        searcher.start(trial)
        searcher.tell(trial, proposal["x"])
    assert seen
    assert all(each == [1, 1] for each in seen)
