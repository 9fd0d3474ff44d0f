"""Search spaces for Hypothesis."""

from hypothesis import strategies as st

from hposweep.search_space import Choice, ConditionalChoice, Node, SearchSpace, parse_hyperparameter

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


@st.composite
def search_trees(draw: st.DrawFn) -> SearchSpace:
    """Conditional spaces, two levels deep, where the branches of a choice have keys in common with other priors."""

    def branch(key: str, depth: int) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        for i in range(draw(st.integers(0 if depth else 1, 3))):
            nodes[f"{key}_{i}"] = parse_hyperparameter(draw(texts))
            if depth < 2 and draw(st.booleans()):
                options = draw(st.sampled_from([("a", "b"), (1, 1.0, True), ("alone",)]))
                below = tuple(branch(f"{key}_{i}", depth + 1) for _ in options)
                nodes[f"{key}_{i}"] = ConditionalChoice(Choice(options), below)
        return nodes

    return SearchSpace(branch("key", 0))
