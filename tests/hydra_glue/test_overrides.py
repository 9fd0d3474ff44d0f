"""Overrides: Hydra's sweep syntax becomes hyperparameters, configurations become overrides that read back the same."""

import enum
from pathlib import Path

import numpy as np
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given
from hypothesis import strategies as st
from omegaconf import MISSING, OmegaConf

from hposweep.errors import ConfigError
from hposweep.hydra_glue.overrides import OverrideReader, literal_text, render, render_value
from hposweep.search_space import SearchSpace


@pytest.fixture
def reader(tmp_path: Path) -> OverrideReader:
    (tmp_path / "db").mkdir()
    for name in ("mysql", "postgres", "sqlite"):
        (tmp_path / "db" / f"{name}.yaml").write_text("port: 1\n")
    return OverrideReader(ConfigLoaderImpl(create_config_search_path(str(tmp_path))))


def space_of(
    reader: OverrideReader, *arguments: str, search_space: object = None, params: object = None
) -> SearchSpace:
    return reader.read(search_space, params, arguments, has_short_names=True).search_space


@pytest.mark.parametrize(
    ("override", "text", "support"),
    [
        ("lr=interval(1e-4,1)", "interval(1e-4,1)", "0.0001 to 1"),
        ("lr=interval(1,5)", "interval(1,5)", "1 to 5"),
        ("n=int(interval(1,5))", "int(interval(1,5))", "integers 1 to 5"),
        ("n=tag(log,int(interval(1,5)))", "tag(log,int(interval(1,5)))", "integers 1 to 5"),
        ("n=int(tag(log,interval(1,5)))", "int(tag(log,interval(1,5)))", "integers 1 to 5"),
        ("lr=tag(log,interval(1e-4,1))", "tag(log,interval(1e-4,1))", "0.0001 to 1"),
        ("n=choice(a,b)", "choice(a, b)", "2 options"),
        ("n=a,b,c", "choice(a, b, c)", "3 options"),
        ("n=a,null", "choice(a, null)", "2 options"),
        ("n=1,2.5,true,'1'", "choice(1, 2.5, true, '1')", "4 options"),
        ("n=[1,2],[3]", "choice([1, 2], [3])", "2 options"),
        ("n=choice(a,b),c", "choice(a, b, c)", "3 options"),
        ("n=range(1,4)", "choice(1, 2, 3)", "3 options"),
        ("n=range(0,1,0.5)", "choice(0.0, 0.5)", "2 options"),
        ("n=shuffle(range(3))", "choice(0, 1, 2)", "3 options"),
        ("n=str(choice(1,2))", "choice('1', '2')", "2 options"),
        ("db=glob(*)", "choice(mysql, postgres, sqlite)", "3 options"),
        ("db=glob([m*,p*],exclude=p*)", "choice(mysql)", "1 option"),
        ("+new=1,2", "choice(1, 2)", "2 options"),
    ],
)
def test_the_sweep_syntax_of_hydra(reader: OverrideReader, override: str, text: str, support: str) -> None:
    space = space_of(reader, override)
    prior = space.hyperparameters[override.split("=")[0]]
    assert str(prior) == text
    assert prior.support() == support


def test_a_log_interval_is_even_in_the_logarithm(reader: OverrideReader) -> None:
    space = space_of(reader, "lr=tag(log,interval(1e-4,1))")
    assert space.from_unit_cube(np.array([[0.5]]))[0]["lr"] == pytest.approx(0.01)


def test_the_command_line_wins_over_params_and_params_over_the_search_space(reader: OverrideReader) -> None:
    space = space_of(
        reader,
        "a=choice(1,2)",
        search_space={"a": "uniform(0, 1)", "b": "uniform(0, 1)", "c": {"d": "uniform(0, 1)"}},
        params={"a": "interval(0,2)", "b": "interval(0,3)"},
    )
    texts = {key: str(prior) for key, prior in space.hyperparameters.items()}
    assert texts == {"a": "choice(1, 2)", "b": "interval(0,3)", "c.d": "uniform(0, 1)"}


def test_params_take_distributions_and_the_search_space_takes_hydras_words(reader: OverrideReader) -> None:
    space = space_of(
        reader, search_space={"a": "tag(log, interval(1,8))", "b": "x,y"}, params={"c": "gamma(2, scale=1)"}
    )
    assert [str(prior) for prior in space.hyperparameters.values()] == [
        "tag(log, interval(1,8))",
        "choice(x, y)",
        "gamma(2, scale=1)",
    ]


@pytest.mark.parametrize("override", ["a.b=3", "~a.b", "++a.b=3", "a.b='text'"])
def test_a_plain_override_removes_the_dimension(reader: OverrideReader, override: str) -> None:
    parsed = reader.read({"a": {"b": "uniform(0, 1)", "c": "uniform(0, 1)"}}, None, [override], has_short_names=True)
    assert list(parsed.search_space) == ["a.c"]
    assert parsed.fixed == (override,)


def test_dots_and_nesting_name_the_same_key(reader: OverrideReader) -> None:
    assert list(space_of(reader, search_space={"a.b": "uniform(0, 1)", "a": {"c": "choice(1, 2)"}})) == ["a.b", "a.c"]


@pytest.mark.parametrize(
    ("arguments", "search_space", "message"),
    [
        (["lr=interval(1,0)"], None, "lr: interval(1,0): needs low < high"),
        (["lr=tag(log,interval(0,1))"], None, "lr: tag(log,interval(0,1)): a log scale needs 0 < low"),
        (["lr=tag(nosuch,interval(0,1))"], None, "lr: tag(nosuch,interval(0,1)): no tag 'nosuch'; allowed: log"),
        (["n=range(3,3)"], None, "n: range(3,3): choice() needs at least one option"),
        (["n=int(range(0,3,0.5))"], None, "n: int(range(0,3,0.5)): "),
        (["n=1,2", "n=3,4"], None, "n: stands twice on the command line"),
        (["n=1,2", "n=3"], None, "n: stands twice on the command line"),
        (["n=3", "n=1,2"], None, "n: stands twice on the command line"),
        ([], {"a.b": "uniform(0,1)", "a": {"b": 1}}, "search_space.a.b: stands twice, once with dots and once nested"),
        ([], {"a": {"b": "loguniform(1, 0.1)"}}, "search_space.a.b: loguniform(a, b) needs 0 < a < b, got a=1, b=0.1"),
        ([], {"a": "nosuch(1)"}, "search_space.a: no distribution 'nosuch'. "),
        ([], ["a"], "hydra.sweeper.search_space: must be a mapping"),
        ([], {"hydra": {"job": {"num": "choice(1, 2)"}}}, "hydra.job.num: Hydra's own configuration can't be searched"),
        (
            [],
            {"a": {"b": {"type": "float", "low": 1e-5, "high": 1, "log": True}}},
            "search_space.a.b: {type: float, low: 1e-05, high: 1, log: true}: written as for hydra-optuna-sweeper; "
            "here it is tag(log,interval(1e-05,1))",
        ),
        (
            [],
            {"a": {"type": "int", "low": 4, "high": 16}},
            "search_space.a: {type: int, low: 4, high: 16}: written as for hydra-optuna-sweeper; "
            "here it is int(interval(4,16))",
        ),
        (
            [],
            {"a": {"type": "categorical", "choices": ["x", 1]}},
            "search_space.a: {type: categorical, choices: [x, 1]}: written as for hydra-optuna-sweeper; "
            "here it is choice(x, 1)",
        ),
        (["searcher=random,tpe"], None, "searcher: can't be searched over"),
        (["scheduler=fifo,asha"], None, "scheduler: can't be searched over"),
        (["search_space=a,b"], None, "search_space: can't be searched over"),
        (["experiment=a,b"], None, "experiment: can't be searched over"),
    ],
)
def test_what_is_refused_names_its_key(reader: OverrideReader, arguments, search_space, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(reader, *arguments, search_space=search_space)
    assert str(caught.value).startswith(message)


def test_an_app_without_our_short_names_may_search_over_a_scheduler_of_its_own(reader: OverrideReader) -> None:
    parsed = reader.read(None, None, ["scheduler=cosine,linear"], has_short_names=False)
    assert list(parsed.search_space) == ["scheduler"]


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).filter(lambda text: "${" not in text)
tricky = st.sampled_from(
    ["1", "1.0", "1e3", "true", "null", "nan", "it's", "a,b", "#x", "é", " a ", "", "\\'", "a\\", "x=y"]
)
names = st.from_regex("[a-z][a-z_0-9]{0,5}", fullmatch=True).filter(
    lambda name: name not in ("null", "true", "false", "nan", "inf")
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | tricky
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(names, scalars, max_size=3)


@given(value=values)
def test_hydra_reads_the_same_value_from_an_override(value: object) -> None:
    override = OverridesParser.create().parse_override(f"key={render_value(value)}")
    again = override.value()
    assert again == value
    assert type(again) is type(value)
    assert not override.is_sweep_override()


def job_value(reader: OverrideReader, option: object) -> tuple[object, object]:
    """An option as the configuration has it, and as a job gets it: from a file of the config."""
    node = OmegaConf.create({"choice": [option, "another"]}, flags={"allow_objects": True})
    prior = space_of(reader, search_space=OmegaConf.create({"key": node})).hyperparameters["key"]
    value = prior.at(np.array([0.0]))[0]
    config = OmegaConf.create({"key": None, "x": 0.5})
    ConfigLoaderImpl._apply_overrides_to_config(
        OverridesParser.create().parse_overrides(render({"key": value})), config
    )
    return value, OmegaConf.to_container(config, resolve=True)["key"]  # type: ignore[call-overload, index]


TEXTS = [
    *("line\nbreak", "tab\t", "back\\", "it's", "a=b", "", " ", "null", "1e3", "ü", "#c", "{", "x: y", "'q'", '"'),
    *("01", "0x1F", "1_000", "inf", "~", "!t", "a,b", "\\'", "\0", "[", "choice", "${", "$x", "${x}", "\\${x}"),
]
KEYS = ["a", "k:v", "a b", " a", "a,b", "a=b", "x]", "{", "back\\", "a.b", "a-b", "$", "${x}", "(", "@"]
NO_KEYS = ["1", "true", "null", "it's", '"', "#c", "", "ü", "a\nb"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_of_the_search_space_reaches_a_job_as_it_is(reader: OverrideReader, text: str) -> None:
    value, of_job = job_value(reader, literal_text(text))
    assert of_job == text
    assert value == literal_text(text)


def test_an_interpolation_in_the_search_space_is_resolved_in_the_sweep_s_config(reader: OverrideReader) -> None:
    config = OmegaConf.create({"space": {"key": {"choice": ["${x}", "a${x}"]}}, "x": 3})
    assert str(space_of(reader, search_space=config.space).hyperparameters["key"]) == "choice(3, a3)"


def test_an_interpolation_of_the_command_line_is_one_in_the_job_as_under_hydra(reader: OverrideReader) -> None:
    prior = space_of(reader, "key='${x}',b").hyperparameters["key"]
    assert render({"key": prior.at(np.array([0.0]))[0]}) == ["key=${x}"]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_an_option_that_is_a_mapping_reaches_a_job_as_it_is(reader: OverrideReader, key: str) -> None:
    assert job_value(reader, {key: {key: [1, "x"]}}) == ({key: {key: [1, "x"]}},) * 2


@pytest.mark.parametrize("key", NO_KEYS)
def test_or_it_is_refused(reader: OverrideReader, key: str) -> None:
    with pytest.raises(ConfigError, match=r"^key: .*: Hydra's overrides can't hold this key of a mapping"):
        job_value(reader, [{key: 1}])


@given(value=st.dictionaries(st.text(max_size=5), scalars, max_size=3))
def test_a_mapping_with_any_keys_is_read_back_by_hydra_or_refused(value: dict[str, object]) -> None:
    try:
        text = render_value(value)
    except ConfigError:
        return
    assert OverridesParser.create().parse_override(f"key={text}").value() == value


class Size(enum.Enum):
    SMALL = 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({1: 2}, "search_space.key: {1: 2}: the keys of a mapping are texts, got 1"),
        ({True: 2}, "search_space.key: {True: 2}: the keys of a mapping are texts, got True"),
        (b"raw", "search_space.key: b'raw': a value is a number, text, True, False, None, or a list or dict of them"),
        (object(), "search_space.key: <object object>: a value is a number, text,"),
        (["caf\udce9"], r"search_space.key: 'caf\udce9': can't be written as UTF-8"),
        ({"\ud800": 1}, r"search_space.key: '\ud800': can't be written as UTF-8"),
    ],
    ids=["number as key", "boolean as key", "bytes", "object", "text", "text as key"],
)
def test_an_option_that_no_record_can_hold_is_refused(reader: OverrideReader, option: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        job_value(reader, option)
    assert str(caught.value).startswith(message)


def test_an_enumeration_of_the_search_space_is_its_name(reader: OverrideReader) -> None:
    assert job_value(reader, Size.SMALL) == ("SMALL", "SMALL")


@pytest.mark.parametrize("line", ["key=caf\udce9,b", "key=caf\udce9", "+caf\udce9=1,2"])
def test_an_override_that_is_no_text_is_refused(reader: OverrideReader, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(reader, line)
    assert "\\udce9" in str(caught.value)
    str(caught.value).encode()


@given(text=st.text(st.sampled_from("${}\\'\"x:/ ,=()[]~#\n") | st.characters(exclude_categories=["Cs"]), max_size=12))
def test_a_literal_text_arrives_in_the_config_as_it_is(text: str) -> None:
    assume(text != MISSING)
    value = OverridesParser.create().parse_override(f"key={render_value(literal_text(text))}").value()
    config = OmegaConf.create({"key": value, "other": "before/${key}/after"})
    assert (config.key, config.other) == (text, f"before/{text}/after")


@pytest.mark.parametrize("line", ["text='???',b", "text=['???'],b", "text={a:'???'},b"])
def test_the_mark_of_a_missing_value_is_no_option(reader: OverrideReader, line: str) -> None:
    with pytest.raises(ConfigError, match=r"^text: '\?\?\?': stands for a missing value in OmegaConf"):
        space_of(reader, line)


def test_a_configuration_is_one_override_a_key() -> None:
    assert render({"a.b": 0.1, "+c": None, "d": "x"}) == ["a.b=0.1", "+c=null", "d=x"]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("source", ["search_space", "params"])
def test_a_key_in_a_branch_and_outside_of_one_source_is_refused_in_either_order(
    reader: OverrideReader, source: str, first: bool
) -> None:
    outside = {"x": "uniform(0, 1)"}
    inside = {"db": {"choice": {"mysql": {"x": "uniform(0, 2)"}, "sqlite": None}}}
    node = {**outside, **inside} if first else {**inside, **outside}
    with pytest.raises(ConfigError, match=rf"^{source}.db=mysql: x: stands twice where both would be active"):
        space_of(reader, **{source: node})


def test_one_source_overrules_branches_of_another(reader: OverrideReader) -> None:
    inside = {"db": {"choice": {"mysql": {"x": "uniform(0, 2)"}, "sqlite": None}}}
    space = space_of(reader, search_space=inside, params={"x": "uniform(0, 1)"})
    assert [(each.id, str(each.prior)) for each in space.dimensions] == [
        ("db", "choice(mysql, sqlite)"),
        ("x (db=mysql)", "uniform(0, 1)"),
    ]
    fixed = reader.read(inside, None, ["x=0.5"], has_short_names=True)
    assert [str(each.prior) for each in fixed.search_space.dimensions] == ["choice(mysql, sqlite)", "0.5"]
    assert fixed.fixed == ()
    chosen = reader.read(inside, None, ["db=mysql"], has_short_names=True)
    assert [each.id for each in chosen.search_space.dimensions] == ["x"]
    assert chosen.fixed == ("db=mysql",)
