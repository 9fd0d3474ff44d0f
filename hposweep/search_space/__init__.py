"""The search space: hyperparameters with their priors, and the way between the unit cube and configurations."""

from hposweep.search_space.parsing import as_hyperparameter, parse_hyperparameter
from hposweep.search_space.priors import Choice, Constant, Distribution, Hyperparameter, Value, literal
from hposweep.search_space.records import is_record, prior_text, read_prior
from hposweep.search_space.space import (
    LARGEST_SEED,
    Condition,
    Configuration,
    Dimension,
    SearchSpace,
    trial_seed,
    uniform,
)

__all__ = [
    "LARGEST_SEED",
    "Choice",
    "Condition",
    "Configuration",
    "Constant",
    "Dimension",
    "Distribution",
    "Hyperparameter",
    "SearchSpace",
    "Value",
    "as_hyperparameter",
    "is_record",
    "literal",
    "parse_hyperparameter",
    "prior_text",
    "read_prior",
    "trial_seed",
    "uniform",
]
