"""What searchers say that they are at."""

import pytest

from hposweep.search_space import SearchSpace, parse_hyperparameter
from hposweep.searchers import Searcher, stage_of
from hposweep.searchers.bayesian import BayesianSearcher
from hposweep.searchers.cmaes import CmaesSearcher
from hposweep.searchers.evolution import EvolutionSearcher
from hposweep.searchers.initial import InitialSearcher
from hposweep.searchers.random import RandomSearcher
from hposweep.searchers.repeated import RepeatedSearcher
from hposweep.searchers.tpe import TpeSearcher
from hposweep.trial import Trial, TrialState

SPACE = SearchSpace({key: parse_hyperparameter("uniform(0, 1)") for key in ("x", "y")})


def run(searcher: Searcher, numbers: range) -> None:
    for number in numbers:
        configuration = searcher.propose(number, ())
        assert isinstance(configuration, dict)
        trial = Trial(number, configuration, 0, TrialState.COMPLETE)
        searcher.start(trial)
        searcher.tell(trial, configuration["x"])


STAGES = [
    pytest.param(TpeSearcher(SPACE, 0, n_startup_trials=2), "start-up, 1 of 2 results", "densities of 5"),
    pytest.param(BayesianSearcher(SPACE, 0, n_startup=3), "start-up, 1 of 3 results", "model of 5 results"),
    pytest.param(CmaesSearcher(SPACE, 0, population_size=4), "generation 1, 1 of 4 results", "generation 2, 1 of 4"),
    pytest.param(
        EvolutionSearcher(SPACE, 0, population_size=2),
        "first population, 1 of 2 results",
        "mutations of the youngest 2",
    ),
]


@pytest.mark.parametrize(("searcher", "after_one", "after_five"), STAGES, ids=["tpe", "bayesian", "cmaes", "evolution"])
def test_a_searcher_that_learns_tells_of_its_stages(
    request: pytest.FixtureRequest, searcher: Searcher, after_one: str, after_five: str
) -> None:
    name = request.node.callspec.id
    run(searcher, range(1))
    assert stage_of(searcher) == f"{name}: {after_one}"
    run(searcher, range(1, 5))
    assert stage_of(searcher).startswith(f"{name}: {after_five}")


def test_one_that_does_not_learn_has_none() -> None:
    assert stage_of(RandomSearcher(SPACE, 0)) == ""


def test_configurations_tried_first_and_several_seeds_change_nothing_about_it() -> None:
    searcher = RepeatedSearcher(InitialSearcher(TpeSearcher(SPACE, 0), SPACE, 0, [{"x": 0.5}]), n_seeds=2)
    run(searcher, range(4))
    assert stage_of(searcher) == "tpe: start-up, 2 of 10 results"
