"""Regularized evolution: who lives, who has children, and what a child is."""

import math
from collections import Counter

import pytest

from hposweep.errors import ConfigError
from hposweep.search_space import Choice, ConditionalChoice, Configuration, SearchSpace, parse_hyperparameter
from hposweep.searchers.evolution import EvolutionSearcher
from hposweep.trial import Trial

LETTERS = SearchSpace({key: parse_hyperparameter("uniform(0, 1)") for key in "abcdef"})


def configuration(x: float) -> Configuration:
    return dict.fromkeys("abcdef", x)


def started(searcher: EvolutionSearcher, n: int) -> EvolutionSearcher:
    """Trial i has the value i/100 everywhere."""
    for number in range(n):
        searcher.start(Trial(number, configuration(number / 100), seed=0))
    return searcher


def tell(searcher: EvolutionSearcher, number: int, loss: float) -> None:
    searcher.tell(Trial(number, configuration(number / 100), seed=0), loss)


def parents(searcher: EvolutionSearcher, n: int = 100) -> Counter[int]:
    """The numbers of the trials that n proposals differ from in one hyperparameter."""
    found = Counter[int]()
    for number in range(n):
        proposal = searcher.propose(1000 + number, ())
        assert isinstance(proposal, dict)
        ((most, n_equal), *_) = Counter(round(value * 100, 6) for value in proposal.values()).most_common()
        assert n_equal == 5
        found[round(most)] += 1
    return found


def test_the_population_are_the_youngest_by_their_first_result() -> None:
    searcher = started(EvolutionSearcher(LETTERS, 0, population_size=3, sample_size=2), 6)
    for number, loss in ((0, 0.0), (2, 0.2), (1, 0.1), (4, 0.4)):
        tell(searcher, number, loss)
    assert searcher.population == [2, 1, 4]
    tell(searcher, 2, 0.05)  # at a later rung: better, and no younger
    assert searcher.population == [2, 1, 4]
    tell(searcher, 3, math.inf)
    assert searcher.population == [1, 4, 3]


def test_the_best_of_a_large_sample_is_the_parent_until_it_dies_of_age() -> None:
    searcher = started(EvolutionSearcher(LETTERS, 0, population_size=3, sample_size=50), 9)
    for number, loss in ((0, 0.0), (1, 0.5), (2, math.inf)):
        tell(searcher, number, loss)
    assert set(parents(searcher)) == {0}
    tell(searcher, 3, 0.7)
    assert set(parents(searcher)) == {1}
    tell(searcher, 3, 0.3)
    assert set(parents(searcher)) == {3}


def test_the_parent_is_the_best_of_a_sample_with_replacement() -> None:
    """Of two draws from three members the best is there in 5 of 9 cases, and the worst is taken in 1 of 9.

    Tolerances of 6 standard deviations: fails by chance for 2 of 10^9 seeds.
    """
    searcher = started(EvolutionSearcher(LETTERS, 0, population_size=3, sample_size=2), 3)
    for number in range(3):
        tell(searcher, number, float(number))
    found = parents(searcher, 900)
    assert abs(found[0] - 500) < 90
    assert abs(found[1] - 300) < 83
    assert abs(found[2] - 100) < 57


def test_until_there_is_a_population_configurations_are_drawn() -> None:
    searcher = started(EvolutionSearcher(LETTERS, 0, population_size=3, sample_size=2), 2)
    tell(searcher, 0, 0.0)
    assert searcher.propose(2, ()) == LETTERS.sample(0, 2)
    searcher.start(Trial(2, configuration(0.02), seed=0))
    assert set(parents(searcher)) == {0}, "those that have results, though two of three are under way"


def test_a_mutation_changes_one_active_hyperparameter_or_an_option_with_its_branch() -> None:
    one, two = ({key: parse_hyperparameter("uniform(0, 1)") for key in keys} for keys in ("xy", "z"))
    tree = SearchSpace({"c": ConditionalChoice(Choice((1, 2)), (one, two)), "w": parse_hyperparameter("uniform(0, 1)")})
    searcher = EvolutionSearcher(tree, 0, population_size=1, sample_size=1)
    parent: Configuration = {"c": 1, "x": 0.25, "y": 0.5, "w": 0.75}
    searcher.start(Trial(0, parent, seed=0))
    searcher.tell(Trial(0, parent, seed=0), 0.0)
    changes = Counter[str]()
    for number in range(1, 200):
        child = searcher.propose(number, ())
        assert isinstance(child, dict)
        if child["c"] == 2:
            assert child.keys() == {"c", "z", "w"}
            assert child["w"] == pytest.approx(0.75)
            changes["c"] += 1
        else:
            (key,) = (key for key in parent if child[key] != pytest.approx(parent[key], abs=1e-12))
            changes[key] += 1
    assert changes.keys() == {"c", "x", "y", "w"}
    assert min(changes.values()) > 20


@pytest.mark.parametrize("name", ["population_size", "sample_size"])
@pytest.mark.parametrize("n", [0, 2.5, True])
def test_sizes_that_are_none_are_refused(name: str, n: float) -> None:
    with pytest.raises(ConfigError) as error:
        EvolutionSearcher(LETTERS, 0, **{name: n})  # type: ignore[arg-type]
    assert str(error.value) == f"{name}: must be a whole number of at least 1, got {n!r}"
