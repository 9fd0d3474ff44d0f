"""Draws of search spaces, as the first version drew them: recorded once, they must never move by a bit.

python tests/recorded/record_draws.py > tests/recorded/draws.json
"""

import json

from hposweep.search_space import SearchSpace, parse_hyperparameter, trial_seed

PRIORS = {
    "optimizer.learning_rate": "loguniform(1e-4, 1)",
    "optimizer.momentum": {"distribution": "beta", "a": 5, "b": 1},
    "optimizer.name": "choice(sgd, adam, null, 1, 1.0, true)",
    "model.num_hiddens": "int(loguniform(32, 1024))",
    "model.num_layers": "randint(1, 4)",
    "model.dropout": "uniform(0, 0.5)",
    "model.width": "int(uniform(1.5, 10))",
    "data.batch_size": {"choice": [16, 32, 64]},
    "+weight": "norm(0, 2)",
    "noise": "gamma(2, scale=0.01)",
    "n_events": "poisson(3)",
    "rank": "geom(p=0.3)",
    "constant": 7,
    "text": "plain",
}
SEEDS = (0, 1, 2**32 - 1)
NUMBERS = (0, 1, 2, 3, 10, 999, 10_000)


def main() -> None:
    """Prints the draws as JSON, floats by repr."""
    space = SearchSpace({key: parse_hyperparameter(node) for key, node in PRIORS.items()})
    rows = [
        {"seed": seed, "number": number, "trial_seed": trial_seed(seed, number), "draw": space.sample(seed, number)}
        for seed in SEEDS
        for number in NUMBERS
    ]
    print(json.dumps({"priors": PRIORS, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
