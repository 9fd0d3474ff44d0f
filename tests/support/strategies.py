"""Search spaces for Hypothesis."""

from hypothesis import strategies as st

from hposweep.search_space import SearchSpace, parse_hyperparameter

texts = st.sampled_from(
    [
        "loguniform(1e-4, 1)",
        "uniform(0, 0.5)",
        "beta(5, 1)",
        "gamma(2, scale=0.01)",
        "norm(0, 3)",
        "randint(1, 4)",
        "poisson(3)",
        "int(loguniform(32, 1024))",
        "int(uniform(0.5, 7))",
        "int(norm(0, 5))",
        "choice(sgd, adam, null)",
        "choice(16, 32, 'it''s', [1, 2])",
    ]
)
search_spaces = st.lists(texts, min_size=1, max_size=6).map(
    lambda found: SearchSpace({f"key_{i}": parse_hyperparameter(text) for i, text in enumerate(found)})
)
