"""The search space: hyperparameters with their priors, and the way between the unit cube and configurations."""

from hposweep.search_space.parsing import as_hyperparameter, parse_hyperparameter
from hposweep.search_space.priors import Choice, Constant, Distribution, Hyperparameter, Value, literal
from hposweep.search_space.space import LARGEST_SEED, Configuration, SearchSpace, trial_seed

__all__ = [
    "LARGEST_SEED",
    "Choice",
    "Configuration",
    "Constant",
    "Distribution",
    "Hyperparameter",
    "SearchSpace",
    "Value",
    "as_hyperparameter",
    "literal",
    "parse_hyperparameter",
    "trial_seed",
]
