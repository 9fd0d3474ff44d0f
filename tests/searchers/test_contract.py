"""What holds for every searcher: one table, a row each."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hposweep.search_space import (
    Choice,
    ConditionalChoice,
    Configuration,
    Constant,
    Node,
    SearchSpace,
    parse_hyperparameter,
)
from hposweep.searchers import Exhausted, Searcher, Wait
from hposweep.searchers.bayesian import BayesianSearcher
from hposweep.searchers.cmaes import CmaesSearcher
from hposweep.searchers.evolution import EvolutionSearcher
from hposweep.searchers.grid import GridSearcher
from hposweep.searchers.latin_hypercube import LatinHypercubeSearcher
from hposweep.searchers.local import LocalSearcher
from hposweep.searchers.random import RandomSearcher
from hposweep.searchers.sobol import SobolSearcher
from hposweep.searchers.tpe import TpeSearcher
from hposweep.trial import Trial, TrialState
from support.strategies import search_spaces, search_trees

CONF = Path(__file__).resolve().parents[2] / "conf" / "searcher"
SEARCHERS = [
    pytest.param(RandomSearcher, {}, id="random"),
    pytest.param(GridSearcher, {}, id="grid"),
    pytest.param(SobolSearcher, {}, id="sobol"),
    pytest.param(LatinHypercubeSearcher, {}, id="latin_hypercube"),
    pytest.param(LocalSearcher, {}, id="local"),
    pytest.param(EvolutionSearcher, {"population_size": 4, "sample_size": 2}, id="evolution"),
    pytest.param(BayesianSearcher, {}, id="bayesian"),
    pytest.param(TpeSearcher, {"n_startup_trials": 3}, id="tpe"),
    pytest.param(CmaesSearcher, {"population_size": 4}, id="cmaes"),
]
SEEDED = [row for row in SEARCHERS if row.id != "grid"]  # a grid is the same for all seeds
SPACE = SearchSpace({key: parse_hyperparameter("uniform(0, 1)") for key in ("x", "y")})

Kind = Callable[..., Searcher]
Options = dict[str, Any]
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Step:
    """What happens next in a made-up sweep."""

    is_start: bool  # a new trial, if the searcher has one; else something of a trial that is under way
    which: int  # of those that are under way
    loss: float
    at_a_rung: bool  # the trial stays under way, PAUSED


steps = st.lists(
    st.builds(Step, st.booleans(), st.integers(0, 7), st.floats(0, 1) | st.just(math.inf), st.booleans()), max_size=40
)


class Sweep:
    """A searcher and the trials that it was told of, by the rules of its role."""

    def __init__(self, searcher: Searcher, space: SearchSpace = SPACE) -> None:
        self.searcher, self.space = searcher, space
        self.pending: list[Trial] = []
        self.proposals: list[Configuration | Wait | Exhausted] = []
        self.n_trials = 0
        self.events: list[tuple[Trial, float | None]] = []  # starts, without a loss, and results

    def ask(self) -> Configuration | Wait | Exhausted:
        return self.searcher.propose(self.n_trials, tuple(self.pending))

    def start(self, configuration: Configuration) -> None:
        trial = Trial(self.n_trials, configuration, seed=self.n_trials)
        self.n_trials += 1
        self.pending.append(trial)
        self.events.append((trial, None))
        self.searcher.start(trial)

    def take(self, step: Step) -> None:
        if step.is_start or not self.pending:
            proposal = self.ask()
            self.proposals.append(proposal)
            assert self.pending or not isinstance(proposal, Wait), "it waits, and nothing is under way"
            if isinstance(proposal, dict):
                self.start(proposal)
            return
        trial = self.pending.pop(step.which % len(self.pending))
        if step.at_a_rung:
            trial = replace(trial, state=TrialState.PAUSED, target_epoch=(trial.target_epoch or 0) + 1)
            self.pending.append(trial)
        else:
            trial = replace(trial, state=TrialState.FAILED if math.isinf(step.loss) else TrialState.COMPLETE)
        self.events.append((trial, step.loss))
        self.searcher.tell(trial, step.loss)


def test_every_file_of_conf_has_its_row() -> None:
    modules = {row.values[0].__module__.rpartition(".")[2] for row in SEARCHERS}
    assert {path.stem for path in CONF.glob("*.yaml")} == modules


@pytest.mark.parametrize(("kind", "options"), SEARCHERS)
@settings(max_examples=50)
@given(search_space=search_spaces | search_trees(), seed=seeds, history=steps)
def test_proposals_lie_in_the_search_space(
    kind: Kind, options: Options, search_space: SearchSpace, seed: int, history: list[Step]
) -> None:
    sweep = Sweep(kind(search_space=search_space, seed=seed, **options), search_space)
    for step in history:
        sweep.take(step)
    for proposal in sweep.proposals:
        assert isinstance(proposal, Wait | Exhausted) or proposal in search_space


@pytest.mark.parametrize(("kind", "options"), SEARCHERS)
@settings(max_examples=50)
@given(seed=seeds, history=steps)
def test_the_same_events_give_the_same_proposals(kind: Kind, options: Options, seed: int, history: list[Step]) -> None:
    """And asking changes nothing: the second sweep asks three times as often."""
    one, other = (Sweep(kind(search_space=SPACE, seed=seed, **options)) for _ in range(2))
    for step in history:
        one.take(step)
        assert other.ask() == other.ask()
        other.take(step)
    assert one.proposals == other.proposals


@pytest.mark.parametrize(("kind", "options"), SEARCHERS)
@settings(max_examples=25)
@given(search_space=search_spaces | search_trees(), seed=seeds, history=steps)
def test_wherever_it_is_cut_off_a_replay_proposes_the_same(
    kind: Kind, options: Options, search_space: SearchSpace, seed: int, history: list[Step]
) -> None:
    """Nobody has asked the searcher that is told the events again."""
    sweep = Sweep(kind(search_space=search_space, seed=seed, **options), search_space)
    for step in history:
        sweep.take(step)
    again = kind(search_space=search_space, seed=seed, **options)
    for trial, loss in sweep.events:
        if loss is None:
            again.start(trial)
        else:
            again.tell(trial, loss)
    assert repr(again.propose(sweep.n_trials, tuple(sweep.pending))) == repr(sweep.ask())


@pytest.mark.parametrize(("kind", "options"), SEARCHERS)
@settings(max_examples=25)
@given(seed=seeds, history=steps)
def test_what_is_told_may_be_of_configurations_that_it_has_not_proposed(
    kind: Kind, options: Options, seed: int, history: list[Step]
) -> None:
    """As of those that the user gives, or of values at the ends of the distributions."""
    sweep = Sweep(kind(search_space=SPACE, seed=seed, **options))
    for value in (0.0, 1.0, 0.5, 0.5):
        sweep.start({"x": value, "y": value})
    for step in history:
        sweep.take(step)
    assert all(isinstance(proposal, Wait | Exhausted) or proposal in SPACE for proposal in sweep.proposals)


@pytest.mark.parametrize(("kind", "options"), SEEDED)
def test_another_seed_is_another_search(kind: Kind, options: Options) -> None:
    first = [kind(search_space=SPACE, seed=seed, **options).propose(0, ()) for seed in range(10)]
    assert all(isinstance(proposal, dict) for proposal in first)
    assert len({repr(proposal) for proposal in first}) == 10


def space_of(priors: Mapping[str, object]) -> SearchSpace:
    return SearchSpace({key: parse_hyperparameter(node) for key, node in priors.items()})


BRANCHES: tuple[Mapping[str, Node], ...] = (
    {"m": parse_hyperparameter("randint(0, 3)"), "b": parse_hyperparameter("choice(x, y)")},
    {},
    {"m": parse_hyperparameter("choice(a, b)")},
)
COUNTED = {
    "options": space_of({"a": "choice(1, 2)", "b": "choice(x, y)"}),
    "numbers": space_of({"a": "randint(0, 30)", "b": 7}),
    "alike": space_of({"a": "int(loguniform(1, 9))", "b": "choice(1, 1.0, true, null)"}),
    "mappings": space_of({"a": {"choice": [[1, 2], {"b": 1}, "text"]}}),
    "tree": SearchSpace(
        {"a": ConditionalChoice(Choice((1, 1.0, True)), BRANCHES), "n": parse_hyperparameter("randint(0, 2)")}
    ),
}


@pytest.mark.parametrize("space", COUNTED.values(), ids=COUNTED.keys())
@pytest.mark.parametrize(("kind", "options"), SEARCHERS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_configuration_is_repeated_while_another_is_left(
    kind: Kind, options: Options, space: SearchSpace, seed: int
) -> None:
    """Some trials are under way; searchers that are not random say when nothing is left."""
    sweep = Sweep(kind(search_space=space, seed=seed, **options), space)
    n = int(space.n_configurations)
    for i in range(n):
        sweep.take(Step(is_start=True, which=0, loss=0.0, at_a_rung=False))
        if i % 3:
            sweep.take(Step(is_start=False, which=i, loss=i % 5, at_a_rung=i % 2 == 0))
    assert len({repr(proposal) for proposal in sweep.proposals}) == n
    assert all(proposal in space for proposal in sweep.proposals)
    assert kind is RandomSearcher or sweep.ask() == Exhausted()


@pytest.mark.parametrize("priors", [{}, {"a": 1, "b": "text"}], ids=str)
@pytest.mark.parametrize(("kind", "options"), SEARCHERS)
def test_where_nothing_is_searched_there_is_one_trial(kind: Kind, options: Options, priors: Options) -> None:
    sweep = Sweep(kind(search_space=SearchSpace({k: Constant(v) for k, v in priors.items()}), seed=0, **options))
    for _ in range(2):
        sweep.take(Step(is_start=True, which=0, loss=0.0, at_a_rung=False))
    assert sweep.proposals == [priors, Exhausted()]


@pytest.mark.parametrize(("kind", "options"), SEARCHERS)
def test_it_goes_on_where_all_trials_fail(kind: Kind, options: Options) -> None:
    sweep = Sweep(kind(search_space=SPACE, seed=0, **options))
    for _ in range(60):
        sweep.take(Step(is_start=True, which=0, loss=math.inf, at_a_rung=False))
        if sweep.pending:
            sweep.take(Step(is_start=False, which=0, loss=math.inf, at_a_rung=False))
    assert sweep.n_trials == 60 or isinstance(sweep.ask(), Exhausted)
