"""CSV and Parquet files: read, checked, encoded."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hposweep.errors import ConfigError
from hposweep.training import data_files, tabular
from hposweep.training.tabular import csv
from hposweep.training.tasks import Task

DATASETS = Path(__file__).resolve().parents[2] / "datasets"
CLASSES = ["a", "b", "a", "b", "a", "b", "a", "b", "a", "b"]


def written(folder: Path, text: str, name: str = "rows.csv", encoding: str = "utf-8") -> str:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return str(path)


def table(folder: Path, column: list[Any], name: str = "x", separator: str = ",") -> str:
    """A file of the column, with a class and a number beside it."""
    rows = [
        separator.join(map(str, row)) for row in zip(column, range(len(column)), CLASSES[: len(column)], strict=True)
    ]
    return written(folder, "\n".join([separator.join([name, "number", "class"]), *rows]) + "\n")


def read(path: str, **options: Any) -> Any:
    """Everything is for training, but for what the options say."""
    arguments: dict[str, Any] = {"target": "class", "task": "classification", "validation": 0, "test": 0}
    return csv(path, **(arguments | options))


def test_penguins_are_read_with_their_missing_values() -> None:
    splits: Any = csv(str(DATASETS / "penguins" / "penguins.csv"), "species", "classification")
    assert splits.class_names == ("Adelie", "Chinstrap", "Gentoo")
    assert [len(part.targets) for part in (splits.train, splits.val, splits.test) if part] == [206, 69, 69]
    kinds = {name: feature.kind for name, feature in splits.features.items()}
    assert kinds["island"] == kinds["sex"] == "category"
    assert kinds["year"] == kinds["body_mass_g"] == "number"
    # Three islands and two sexes with one more code each, five numbers, four of which may be missing.
    assert splits.train.inputs.shape == (206, 4 + 3 + 5 + 4)
    assert np.isfinite(splits.train.inputs).all()


def test_cars_are_read_for_a_regression() -> None:
    splits: Any = csv(str(DATASETS / "cars" / "cars.csv"), "miles_per_gallon", "regression", ignore=["name"])
    parts = [part.targets for part in (splits.train, splits.val, splits.test) if part is not None]
    assert sum(map(len, parts)) == 398
    assert parts[0].dtype == np.float32
    assert "name" not in splits.features


def test_bundled_files_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(read("datasets/penguins/penguins.csv", target="species").train.targets) == 344
    mine = tmp_path / "datasets" / "penguins"
    mine.mkdir(parents=True)
    table(mine, list(range(10)))
    assert data_files.located("datasets/penguins/rows.csv", tmp_path) == mine / "rows.csv"


def test_numbers_are_standardised_by_the_training_part_alone(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y,part\n1,0.5,train\n3,1.5,train\n,2.5,train\n100,3,val\n,1,test\n")
    splits: Any = csv(path, "y", "regression", split="column", split_column="part")
    feature = splits.features["x"]
    assert (feature.mean, feature.deviation, feature.has_missing) == (2, 1, True)
    assert splits.train.inputs.tolist() == [[-1, 0], [1, 0], [0, 1]]
    assert splits.val.inputs.tolist() == [[98, 0]]
    assert splits.test.inputs.tolist() == [[0, 1]]
    assert splits.val.targets.tolist() == [3]


def test_categories_that_training_examples_lack_share_the_code_of_missing_ones(tmp_path: Path) -> None:
    text = "c,y,part\nred,1,train\nred,2,train\nblue,3,train\n,4,train\ngreen,5,val\nblue,6,test\n"
    path = written(tmp_path, text)
    arguments: dict[str, Any] = {"split": "column", "split_column": "part"}
    splits: Any = csv(path, "y", "regression", encode="columns", **arguments)
    assert splits.features["c"].vocabulary == ("red", "blue")
    codes = [part.inputs["c"].ravel().tolist() for part in (splits.train, splits.val, splits.test)]
    assert codes == [[1, 1, 2, 0], [0], [2]]
    assert splits.train.inputs["c"].dtype == np.int32
    matrix: Any = csv(path, "y", "regression", **arguments).train.inputs
    assert matrix.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_the_most_frequent_categories_are_kept(tmp_path: Path) -> None:
    path = table(tmp_path, [*"zzzyyyxxw", "v"])
    splits = read(path, max_categories=2)
    assert splits.features["x"].vocabulary == ("y", "z")


def test_numbers_named_as_categories_keep_their_text(tmp_path: Path) -> None:
    path = table(tmp_path, ["007", "08", "007", "08", "7", "", "7", "7", "08", "08"])
    splits = read(path, categories=["x"])
    assert splits.features["x"].vocabulary == ("08", "7", "007")


def test_booleans_are_categories_also_where_some_are_missing(tmp_path: Path) -> None:
    for column in (["True", "False"] * 5, ["true", "false", "", "true"] * 2):
        splits = read(table(tmp_path, column))
        assert set(splits.features["x"].vocabulary) == {"True", "False"}


def test_columns_that_tell_nothing_are_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "same,empty,id,,x,class\n" + "".join(f"1,,name {i},{i},{i % 3},{CLASSES[i]}\n" for i in range(10))
    with caplog.at_level(logging.INFO):
        splits = read(written(tmp_path, text))
    assert list(splits.features) == ["x"]
    assert "column 'same' is left out: it is 1 in each training example" in caplog.text
    assert "column 'empty' is left out: it is empty" in caplog.text
    assert "column 'id' is left out: each of its texts occurs once" in caplog.text
    assert "column 4 of rows.csv has no name" in caplog.text


def test_a_constant_that_is_missing_somewhere_tells_something(tmp_path: Path) -> None:
    splits = read(table(tmp_path, ["5", "", "5", "5", "5"]), features=["x"])
    assert splits.train.inputs.tolist() == [[0, 0], [0, 1], [0, 0], [0, 0], [0, 0]]


WRITINGS = [
    pytest.param("x,class\n1.5,a\n2.5,b\n", "utf-8", id="comma"),
    pytest.param("x;class\n1,5;a\n2,5;b\n", "utf-8", id="semicolon and decimal comma"),
    pytest.param("x\tclass\n1.5\ta\n2.5\tb\n", "utf-8", id="tab"),
    pytest.param("x|class\n1.5|a\n2.5|b\n", "utf-8", id="bar"),
    pytest.param("x,class\n1.5,a\n2.5,b\n", "utf-8-sig", id="byte order mark"),
    pytest.param("x\tclass\n1.5\ta\n2.5\tb\n", "utf-16", id="UTF-16"),
    pytest.param("x,class\r\n1.5,a\r\n2.5,b\r\n", "utf-8", id="Windows lines"),
    pytest.param('"x","class"\n"1.5","a"\n"2.5","b"\n', "utf-8", id="quotes"),
    pytest.param("x, class\n1.5, a\n2.5, b\n", "utf-8", id="spaces"),
    pytest.param("x,class\n1.5,a\n\n2.5,b", "utf-8", id="blank line"),
    pytest.param("x;class\n1,5;a\n2,5e0;b\n", "utf-8", id="decimal comma with exponent"),
]


@pytest.mark.parametrize(("text", "encoding"), WRITINGS)
def test_files_of_many_programs_are_read_alike(tmp_path: Path, text: str, encoding: str) -> None:
    splits = read(written(tmp_path, text, encoding=encoding))
    assert splits.train.inputs.tolist() == [[-1], [1]]
    assert splits.train.targets.tolist() == [0, 1]
    assert splits.class_names == ("a", "b")


def test_quoted_fields_may_hold_separators_and_line_ends(tmp_path: Path) -> None:
    path = written(tmp_path, 'c,class\n"x, y",a\n"two\nlines",b\n"say ""z""",b\n"x, y",a\n')
    splits = read(path)
    assert splits.features["c"].vocabulary == ("x, y", 'say "z"', "two\nlines")


@pytest.mark.parametrize(
    ("column", "codes", "names"),
    [
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        (["3", "10", "3"], [0, 1, 0], ("3", "10")),
        (["0", "1", "0"], [0, 1, 0], ()),
        (["2.0", "1.0", "1.0"], [1, 0, 0], ("1", "2")),
        (["True", "False", "True"], [1, 0, 1], ("False", "True")),
    ],
)
def test_classes_of_any_type_are_numbered_in_their_order(tmp_path: Path, column, codes, names) -> None:
    path = written(tmp_path, "x,class\n" + "".join(f"{i},{value}\n" for i, value in enumerate(column)))
    for task in ("classification", "binary"):
        splits = read(path, task=task)
        assert splits.train.targets.tolist() == codes
        assert splits.train.targets.dtype == np.int32
        assert splits.class_names == names


def test_several_targets(tmp_path: Path) -> None:
    path = written(tmp_path, "x,one,two\n1,0,1\n2,1,1\n3,1,0\n")
    labels = read(path, target=["one", "two"], task="multilabel")
    assert labels.train.targets.tolist() == [[0, 1], [1, 1], [1, 0]]
    assert labels.class_names == ("one", "two")
    numbers = read(path, target=["one", "two"], task="regression")
    assert numbers.train.targets.dtype == np.float32
    assert numbers.train.targets.shape == (3, 2)


def test_weights_are_no_feature(tmp_path: Path) -> None:
    path = written(tmp_path, "x,w,class\n1,0.5,a\n2,0,b\n3,2,a\n")
    splits = read(path, weights="w")
    assert splits.train.weights is not None
    assert splits.train.weights.tolist() == [0.5, 0, 2]
    assert list(splits.features) == ["x"]


def test_parts_in_files_of_their_own(tmp_path: Path) -> None:
    first = written(tmp_path, "x,c,class\n" + "".join(f"{i},k,{CLASSES[i]}\n" for i in range(10)), "train.csv")
    second = written(tmp_path, "class,c,x\nb,k,20\na,l,21\n", "test.csv")
    splits: Any = csv(first, "class", "classification", validation=2, test=0.5, test_path=second, features=["x"])
    assert [len(part.targets) for part in (splits.train, splits.val, splits.test) if part] == [8, 2, 2]
    assert splits.test.targets.tolist() == [1, 0]
    assert tabular.fingerprint(first, None, second) != tabular.fingerprint(first, second, None)
    before = tabular.fingerprint(first, None, second)
    written(tmp_path, "class,c,x\nb,k,20\na,l,22\n", "test.csv")
    assert tabular.fingerprint(first, None, second) != before


def test_dates_order_a_split_by_time_and_groups_stay_together(tmp_path: Path) -> None:
    rows = [(f"2024-{month:02}-01", month % 3, month) for month in (5, 1, 4, 2, 3, 9, 8, 7, 6, 10)]
    path = written(tmp_path, "date,site,y,y2\n" + "".join(f"{date},{site},{y},{y}\n" for date, site, y in rows))
    splits: Any = csv(path, "y", "regression", split="time", split_column="date")
    assert sorted(splits.test.targets) == [9, 10]
    assert sorted(splits.val.targets) == [7, 8]
    grouped: Any = csv(path, "y", "regression", split="group", split_column="site", features=["y2"])
    sites = [{y % 3 for y in part.targets} for part in (grouped.train, grouped.val, grouped.test) if part]
    assert sorted(map(len, sites)) == [1, 1, 1]


def test_a_slash_in_a_name_is_none_in_the_name_of_an_input(tmp_path: Path) -> None:
    splits = read(table(tmp_path, [1, 2, 4, 5, 6], name="km/h"), encode="columns")
    assert list(splits.train.inputs) == ["km_h", "number"]


def test_a_parquet_file_is_read_like_a_csv_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.read_csv(DATASETS / "penguins" / "penguins.csv")
    frame.to_parquet(tmp_path / "penguins.parquet")
    found, expected = (
        read(str(path), target="species")
        for path in (tmp_path / "penguins.parquet", DATASETS / "penguins" / "penguins.csv")
    )
    assert (found.train.inputs == expected.train.inputs).all()
    assert found.features == expected.features


def test_the_check_of_a_config_counts_the_training_examples() -> None:
    node = {"_target_": "...", "path": "datasets/penguins/penguins.csv", "target": "species", "batch_size": 206}
    tabular.check(node, Task())
    with pytest.raises(ConfigError, match=r"data\.batch_size: must be from 1 to 206, the training examples; got 207"):
        tabular.check({**node, "batch_size": 207}, Task())


GOOD = "x,c,w,class\n" + "".join(f"{i},k{i % 2},1,{CLASSES[i]}\n" for i in range(10))
BAD: list[tuple[str | bytes, dict[str, Any], str]] = [
    (GOOD, {"target": "clas"}, "data.target: no column 'clas'; did you mean 'class'? Columns: x, c, w, class"),
    (GOOD, {"target": "???"}, "data.target: must be given"),
    (GOOD, {"path": "???"}, "data.path: must be given"),
    (GOOD, {"target": []}, "data.target: must name a column"),
    (GOOD, {"target": ["c", "class"]}, "data.target: classification has one target, got 2"),
    (GOOD, {"task": "regresion"}, "task: no 'regresion'; did you mean 'regression'?"),
    (GOOD, {"encode": "onehot"}, "data.encode: must be matrix or columns, got onehot"),
    (GOOD, {"max_categories": 0}, "data.max_categories: must be at least 1, got 0"),
    (GOOD, {"features": ["x", "class"]}, "data.features: 'class' is the target"),
    (GOOD, {"features": ["x", "d"]}, "data.features: no column 'd'"),
    (GOOD, {"features": ["x", "w"], "weights": "w"}, "data.features: 'w' holds the weights"),
    (GOOD, {"categories": ["x"], "ignore": ["x"]}, "data.categories: 'x' is no feature"),
    (GOOD, {"ignore": ["x", "c", "w"]}, "data.features: no column is left"),
    (GOOD, {"weights": "class"}, "data.weights: 'class' is the target"),
    (GOOD, {"weights": "c"}, "'k0' in row 1 of {path} is no number, in a column of numbers, 'c'"),
    (GOOD, {"split_column": "site", "split": "group"}, "data.split_column: no column 'site'"),
    (GOOD, {"split_column": "c", "split": "time"}, "numbers or dates such as 2024-12-31, got 'k0' in row 1 of {path}"),
    (GOOD, {"validation_path": "none.csv"}, "data.validation_path: no file none.csv in "),
    (GOOD, {"path": "{folder}/row.csv"}, "did you mean 'rows.csv'"),
    (GOOD, {"path": "{folder}"}, "data.path: {folder} is a folder, not a file"),
    (GOOD, {"path": "{folder}/none/rows.csv"}, "and no folder {folder}/none"),
    (GOOD, {"task": "regression"}, "'a' in row 1 of {path} is no number, in a column of numbers, 'class'"),
    (GOOD, {"task": "multilabel"}, "'a' in row 1 of {path} is no number, in a column of numbers, 'class'; multilabel"),
    (GOOD, {"target": "x", "task": "binary"}, "binary needs two classes, 'x' has 10 (0, 1, 2, 3, 4, ...)"),
    (GOOD.replace("3,k1", "3.5,k1"), {"target": "x"}, "'x' has numbers with fractions, which are no classes"),
    (GOOD.replace(",a", ",b"), {}, "data.target: all values of 'class' are b"),
    (GOOD.replace("0,k0,1,a", "0,k0,1,"), {}, "data.target: 1 row has no value in 'class'"),
    (GOOD.replace(",b", ","), {}, "data.target: 5 of 10 rows have no value in 'class'"),
    (GOOD.replace("3,k1", "inf,k1"), {}, "data.path: 'x' has inf in row 4 of {path}, no finite number of 32 bits"),
    (GOOD.replace("3,k1", "1e300,k1"), {}, "data.path: 'x' has 1e+300 in row 4"),
    (
        GOOD.replace("3,k1", "three,k1"),
        {},
        "data.path: 'three' in row 4 of {path} is no number, in a column of numbers, 'x'; name it in data.categories",
    ),
    (GOOD.replace("3,k1", '"1,234",k1'), {}, "data.path: '1,234' in row 4 of {path} is no number"),
    (GOOD.replace("3,k1", "inf,k1"), {"target": "x", "task": "regression"}, "data.target: 'x' has inf in row 4"),
    (GOOD.replace("3,k1,1", "3,k1,-1"), {"weights": "w"}, "data.weights: 'w' must be at least 0, got -1 in row 4"),
    (GOOD.replace("3,k1,1", "3,k1,"), {"weights": "w"}, "data.weights: 'w' must be at least 0, got nothing in row 4"),
    (GOOD.replace(",1,", ",0,"), {"weights": "w"}, "data.weights: all weights of the training examples in 'w' are 0"),
    (
        GOOD.replace("3,k1", "3,"),
        {"split": "group", "split_column": "c"},
        "data.split_column: 1 row has no value in 'c'",
    ),
    (GOOD.replace("x,c", "c,c"), {}, "data.path: {path} has two columns 'c'"),
    (GOOD.replace("3,k1", "3,k1,5"), {}, "data.path: row 4 of {path} has 5 fields for 4 columns"),
    (GOOD.replace("3,k1,", "3,"), {}, "data.path: row 4 of {path} has 3 fields for 4 columns"),
    (GOOD + '1,"k,1,a\n', {}, "data.path: row 11 of {path} has 2 fields for 4 columns"),
    (GOOD.replace("k1", "käse").encode("latin-1"), {}, "isn't in UTF-8 (byte 0xe4 in line 3); save it as UTF-8"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", {}, "data.path: {path} is no text file"),
    ("", {}, "data.path: {path} is empty"),
    ("\n\n", {}, "data.path: {path} is empty"),
    ("x,class\n", {}, "data.path: {path} has no rows"),
    ("<html>\n<p>rows</p>\n</html>\n", {}, "data.target: no column 'class'. Columns: <html>"),
    (GOOD, {"target": "x", "task": "multilabel"}, "data.target: multilabel needs 0 or 1, got 2.0 in row 3 of 'x'"),
    ("x,class\n" + "5,a\n5,b\n" * 4, {}, "data.features: all columns have the same value"),
    (GOOD.replace("x,c", "k,k_missing").replace("3,k1", ",5"), {"encode": "columns"}, "would be called 'k_missing'"),
]


@pytest.mark.parametrize(("content", "options", "message"), BAD, ids=[message[:70] for *_, message in BAD])
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, content: str | bytes, options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    names = {"path": str(path), "folder": str(tmp_path)}
    arguments = {key: value.format(**names) if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises(ConfigError) as raised:
        read(**({"path": str(path)} | arguments))
    assert message.format(**names) in str(raised.value)
    assert str(raised.value).startswith(("data.", "task: "))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("x,class\n1,a\n", "data.test_path: {other} has no column 'c', which {path} has"),
        ("x,c,w,class\nmany,k1,1,a\n", "data.path: 'many' in row 1 of {other} is no number"),
        ("x,c,w,class\n1,k1,1,\n", "data.target: 1 row has no value in 'class'"),
        ("x,c,w,class\n", "data.test_path: {other} has no rows"),
    ],
)
def test_what_is_wrong_in_another_file_names_it(tmp_path: Path, other: str, message: str) -> None:
    path, second = written(tmp_path, GOOD), written(tmp_path, other, "test.csv")
    with pytest.raises(ConfigError) as raised:
        read(path, test_path=second)
    assert message.format(path=path, other=second) in str(raised.value)


def test_a_parquet_file_names_the_extra_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = written(tmp_path, "PAR1", "rows.parquet")
    with pytest.raises(ConfigError, match=r"rows\.parquet needs 'pyarrow': pip install 'hposweep\[parquet\]'"):
        read(path)


@pytest.mark.parametrize(
    ("last", "message"), [("1,2,3,4,5", "Expected 4 fields in line 12, saw 5"), ('1,"k,1,a', "EOF")]
)
def test_rows_behind_those_that_are_counted_are_refused_by_pandas(tmp_path: Path, monkeypatch, last, message) -> None:
    monkeypatch.setattr(tabular, "N_CHARACTERS", 50)
    path = written(tmp_path, GOOD + last)
    with pytest.raises(ConfigError, match=rf"data\.path: {path} is no CSV file that can be read \({message}"):
        read(path, features=["c"])
