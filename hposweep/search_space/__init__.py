"""The search space: hyperparameters with their priors, and the way between the unit cube and configurations."""

from hposweep.search_space.dimensions import Condition, ConditionalChoice, Dimension, Node
from hposweep.search_space.parsing import as_hyperparameter, parse_hyperparameter, parse_search_space
from hposweep.search_space.priors import Choice, Constant, Distribution, Hyperparameter, Value, literal
from hposweep.search_space.records import is_record, key_of, prior_text, read_dimension, read_prior
from hposweep.search_space.space import LARGEST_SEED, Configuration, SearchSpace, trial_seed, uniform

__all__ = [
    "LARGEST_SEED",
    "Choice",
    "Condition",
    "ConditionalChoice",
    "Configuration",
    "Constant",
    "Dimension",
    "Distribution",
    "Hyperparameter",
    "Node",
    "SearchSpace",
    "Value",
    "as_hyperparameter",
    "is_record",
    "key_of",
    "literal",
    "parse_hyperparameter",
    "parse_search_space",
    "prior_text",
    "read_dimension",
    "read_prior",
    "trial_seed",
    "uniform",
]
