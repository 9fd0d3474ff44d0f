"""Tables as examples: CSV and Parquet files, read, checked, split and encoded with NumPy. No TensorFlow here."""

from __future__ import annotations

import csv as csv_format
import io
import itertools
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hposweep import optional_packages
from hposweep.errors import ConfigError, nearest
from hposweep.training import data_files, splits, targets
from hposweep.training.examples import Examples, Feature, Inputs, Splits
from hposweep.training.tasks import Task

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

Encode = Literal["matrix", "columns"]
PARQUET = (".parquet", ".pq")
SEPARATORS = ",;\t|"
N_SNIFFED = 100  # rows that tell the separator
N_CHARACTERS = 1 << 20  # of a file whose rows are all counted; pandas fills up short ones
LIKE_A_NUMBER = r"\s*[+-]?[\d.,]*\d[\d.,]*(?:[eE][+-]?\d+)?\s*"
DECIMAL_COMMA = r"\s*[+-]?\d*(?:,\d+)?(?:[eE][+-]?\d+)?\s*"


def csv(
    path: str,
    target: str | Sequence[str],
    task: str,
    validation: float = 0.2,
    test: float = 0.2,
    split: str = "auto",
    split_column: str | None = None,
    split_seed: int = 0,
    validation_path: str | None = None,
    test_path: str | None = None,
    features: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    categories: Sequence[str] = (),
    weights: str | None = None,
    encode: str = "matrix",
    max_categories: int = 100,
) -> Splits:
    """The rows of a CSV file, or of a Parquet file by its ending, as examples.

    A CSV file has a line of column names and is in UTF-8; its separator is a comma, a semicolon, a tab or a bar, which
    the first rows tell. Empty fields, NA, NaN, null and the like are missing values, as pandas has them. Columns of
    numbers are numbers, also with decimal commas if these don't separate the columns; texts and booleans are
    categories, and so are numbers that `categories` names, whose text is then kept as it stands, 007 say.

    Args:
        target: a column, or several: of numbers for "regression", of 0 and 1 for "multilabel".
        task: "classification", "binary", "multilabel" or "regression".
        validation, test, split, split_column, split_seed: as `splits.split` has them.
        validation_path, test_path: files with the same columns, in the place of shares of `path`.
        features: columns that the model gets; None: all that have no other role.
        ignore: columns that it doesn't get.
        weights: the column of the examples' weights in the loss.
        encode: as `encode_rows` has it.
        max_categories: of one column; rarer ones are treated as unseen ones.

    Raises:
        ConfigError: in one line, naming the key of `data`, if something in the files or these arguments can't be used.
    """
    targets.check_task(task)
    data_files.check_given("target", target)
    if encode not in ("matrix", "columns"):
        raise ConfigError(f"data.encode: must be matrix or columns, got {encode}")
    if max_categories < 1:
        raise ConfigError(f"data.max_categories: must be at least 1, got {max_categories}")
    target_names = [target] if isinstance(target, str) else list(target)
    if not target_names:
        raise ConfigError("data.target: must name a column")
    if len(target_names) > 1 and task not in ("multilabel", "regression"):
        raise ConfigError(f"data.target: {task} has one target, got {len(target_names)}")
    splits.check_method(split, task in targets.WITH_CLASSES, split_column)
    as_text = {*categories, *([split_column] if split == "column" and split_column else [])}
    table = _Table.read(path, validation_path, test_path, as_text)
    names = _feature_names(table.columns, target_names, features, ignore, categories, weights, split_column)

    values = _target_values(table, target_names, task)
    found = targets.encode(values, task, " and ".join(map(repr, target_names)), tuple(target_names))
    parts = _parts(table, found.values, task, validation, test, split, split_column, split_seed)
    raw = {name: table.feature(name, name in categories) for name in names}
    kept = features_of(raw, parts.train, max_categories)
    inputs = encode_rows(raw, kept, encode)
    weight = None if weights is None else table.weights(weights)

    def examples(indices: np.ndarray) -> Examples | None:
        if not len(indices):
            return None
        return Examples(
            {name: column[indices] for name, column in inputs.items()} if isinstance(inputs, dict) else inputs[indices],
            found.values[indices],
            None if weight is None else weight[indices],
        )

    train = examples(parts.train)
    assert train is not None
    if weight is not None and not weight[parts.train].any():
        raise ConfigError(f"data.weights: all weights of the training examples in '{weights}' are 0")
    return Splits(train, examples(parts.val), examples(parts.test), kept, found.names)


def encode_rows(raw: Mapping[str, np.ndarray], features: Mapping[str, Feature], encode: str) -> Inputs:
    """Raw rows as the model gets them.

    Args:
        raw: by column; shape (n,), numbers as float32 with NaN where they are missing, categories as texts, "" where
            they are missing.
        encode: "matrix" gives one array of shape (n, d), float32: of each feature in order its number, followed by 1
            where it is missing and 0 elsewhere if `has_missing`, or its category as a one-hot vector of
            `1 + len(vocabulary)`. "columns" gives a dict of arrays of shape (n, 1) by `Feature.input_name`: numbers as
            float32, `<input_name>_missing` beside them if `has_missing`, categories as int32 from 0, which stands for
            missing and unseen ones.
    """
    columns: dict[str, np.ndarray] = {}
    for feature in features.values():
        values = raw[feature.name]
        if feature.kind == "category":
            codes = _codes(values, feature.vocabulary)[:, np.newaxis]
            one_hot = codes == np.arange(1 + len(feature.vocabulary))
            columns[feature.input_name] = codes if encode == "columns" else one_hot.astype(np.float32)
            continue
        missing = np.isnan(values)
        scaled = (values - np.float32(feature.mean)) * feature.scale
        columns[feature.input_name] = np.where(missing, np.float32(0), scaled)[:, np.newaxis]
        if feature.has_missing:
            columns[feature.missing_name] = missing.astype(np.float32)[:, np.newaxis]
    return columns if encode == "columns" else np.concatenate(list(columns.values()), axis=1)


def fingerprint(path: str, validation_path: str | None = None, test_path: str | None = None) -> str:
    """As `data_files.fingerprint`, of the files of `csv`."""
    return data_files.fingerprint([path, validation_path, test_path])


def check(arguments: Mapping[str, Any], task: Task) -> frozenset[str]:
    """As `splits.check_by_reading`, of `csv`."""
    return splits.check_by_reading(csv, arguments, task)


@dataclass(frozen=True)
class _Table:
    """The rows of all files, one below the other."""

    frame: pd.DataFrame
    paths: tuple[str, ...]
    ends: tuple[int, ...]  # of each file's rows in the frame
    kinds: tuple[str, ...]  # "path", "validation_path" or "test_path"
    has_decimal_commas: bool  # columns are separated by something else than a comma

    @classmethod
    def read(cls, path: str, validation_path: str | None, test_path: str | None, as_text: Iterable[str]) -> _Table:
        import pandas as pd

        given = {"path": path, "validation_path": validation_path, "test_path": test_path}
        paths = {key: value for key, value in given.items() if value is not None}
        frames, separators = [], set()
        for key, each in paths.items():
            frame, separator = _read(key, each, set(as_text))
            frames.append(frame)
            separators.add(separator)
        first = frames[0]
        for (key, each), frame in zip(paths.items(), frames, strict=True):
            lacking = [name for name in first.columns if name not in frame.columns]
            if lacking:
                raise ConfigError(f"data.{key}: {each} has no column '{lacking[0]}', which {path} has")
        whole = (
            frames[0] if len(frames) == 1 else pd.concat([each[first.columns] for each in frames], ignore_index=True)
        )
        ends = tuple(itertools.accumulate(len(each) for each in frames))
        return cls(whole, tuple(paths.values()), ends, tuple(paths), "," not in separators)

    @property
    def columns(self) -> list[str]:
        return list(self.frame.columns)

    @property
    def n_first(self) -> int:
        """Rows of the first file, which is split."""
        return self.ends[0]

    def place(self, index: int) -> str:
        """Where a row is, for messages: counted from 1, without the line of column names."""
        number = int(np.searchsorted(self.ends, index, side="right"))
        return f"row {index - (self.ends[number - 1] if number else 0) + 1} of {self.paths[number]}"

    def feature(self, name: str, is_category: bool) -> np.ndarray:
        """The column as raw rows of `encode_rows`."""
        import pandas as pd

        column = self.frame[name]
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            raise ConfigError(f"data.ignore: '{name}' holds dates, which are no feature; name it there")
        if not is_category and not pd.api.types.is_bool_dtype(column.dtype):
            if pd.api.types.is_numeric_dtype(column.dtype):
                return self._finite(name, column.to_numpy(np.float64, na_value=np.nan))
            if self._is_like_numbers(column):
                return self._finite(name, self.numbers(name, "name it in data.categories if these are no numbers"))
        return self._texts(name)

    def numbers(self, name: str, advice: str) -> np.ndarray:
        """The column as float64, NaN where a value is missing."""
        import pandas as pd

        column = self.frame[name]
        if pd.api.types.is_numeric_dtype(column.dtype):
            return np.asarray(column.to_numpy(np.float64, na_value=np.nan))
        texts = column.astype(object).where(column.notna(), None).map(str, na_action="ignore")
        if self.has_decimal_commas and texts.dropna().str.fullmatch(DECIMAL_COMMA).all():
            texts = texts.str.replace(",", ".")
        found = pd.to_numeric(texts, errors="coerce")
        wrong = np.flatnonzero(found.isna() & texts.notna())
        if len(wrong):
            raise ConfigError(
                f"data.path: '{texts.iloc[wrong[0]]}' in {self.place(wrong[0])} is no number, in a column of numbers, "
                f"'{name}'; {advice}"
            )
        return np.asarray(found.to_numpy(np.float64, na_value=np.nan))

    def weights(self, name: str) -> np.ndarray:
        """The column as weights, float32."""
        values = self.numbers(name, "weights are numbers")
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        if len(wrong):
            shown = "nothing" if np.isnan(values[wrong[0]]) else f"{values[wrong[0]]:g}"
            raise ConfigError(f"data.weights: '{name}' must be at least 0, got {shown} in {self.place(wrong[0])}")
        return values.astype(np.float32)

    def order(self, name: str) -> np.ndarray:
        """The column as what `splits` needs: without missing values, dates as numbers."""
        import pandas as pd

        column = self.frame[name].iloc[: self.n_first]
        n_missing = int(column.isna().sum())
        if n_missing:
            rows = "1 row has" if n_missing == 1 else f"{n_missing} rows have"
            raise ConfigError(f"data.split_column: {rows} no value in '{name}'")
        if pd.api.types.is_numeric_dtype(column.dtype):
            return np.asarray(column)
        dates = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
        wrong = np.flatnonzero(dates.isna())
        if len(wrong):
            raise ConfigError(
                f"data.split_column: '{name}' must have numbers or dates such as 2024-12-31, got "
                f"'{column.iloc[wrong[0]]}' in {self.place(wrong[0])}"
            )
        return np.asarray(dates.astype("int64"))

    def _texts(self, name: str) -> np.ndarray:
        column = self.frame[name].astype(object)
        codes, distinct = _distinct(column)
        if codes is None:
            raise ConfigError(
                f"data.ignore: '{name}' has a {type(column.dropna().iloc[0]).__name__}, which is no feature; "
                "name the column there"
            )
        # A missing value has the code -1.
        texts: np.ndarray = np.array([*map(_text, distinct), ""], object)[codes]
        return texts

    def _is_like_numbers(self, column: pd.Series) -> bool:
        """Whether at least half of the values are numbers, so that the others are mistakes rather than categories."""
        codes, distinct = _distinct(column.astype(object))
        if codes is None or not len(distinct):
            return False
        is_number = np.array([re.fullmatch(LIKE_A_NUMBER, str(value)) is not None for value in distinct])
        found = is_number[codes[codes >= 0]]
        return bool(2 * found.sum() >= len(found))

    def _finite(self, name: str, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            numbers = values.astype(np.float32)
        wrong = np.flatnonzero(np.isinf(numbers))
        if len(wrong):
            raise ConfigError(
                f"data.path: '{name}' has {values[wrong[0]]:g} in {self.place(wrong[0])}, no finite number of 32 bits"
            )
        return numbers


def _distinct(column: pd.Series) -> tuple[np.ndarray | None, list[Any]]:
    """The number of each value among the distinct ones, -1 where it is missing, and these; None for lists and bytes."""
    import pandas as pd

    try:
        codes, found = pd.factorize(column)
    except TypeError:  # what has no hash
        return None, []
    if not all(isinstance(value, str | bool | int | float | np.generic) for value in found):
        return None, []
    return np.asarray(codes), list(found)


def _text(value: object) -> str:
    """A category's text: of a whole number without a decimal point."""
    if isinstance(value, float | np.floating) and value.is_integer():
        return str(int(value))
    return str(value)


def _codes(values: np.ndarray, vocabulary: Sequence[str]) -> np.ndarray:
    code_of = {text: code for code, text in enumerate(vocabulary, 1)}
    return np.array([code_of.get(text, 0) for text in values], np.int32)


def _feature_names(
    columns: Sequence[str],
    target_names: Sequence[str],
    features: Sequence[str] | None,
    ignore: Sequence[str],
    categories: Sequence[str],
    weights: str | None,
    split_column: str | None,
) -> list[str]:
    """The columns that may be features, in the table's order."""
    named = {
        "target": target_names,
        "features": features or (),
        "ignore": ignore,
        "categories": categories,
        "weights": [] if weights is None else [weights],
        "split_column": [] if split_column is None else [split_column],
    }
    for key, names in named.items():
        for name in names:
            if name not in columns:
                hint = nearest(name, list(columns))
                shown = ", ".join(columns[:30]) + (", ..." if len(columns) > 30 else "")
                raise ConfigError(f"data.{key}: no column '{name}'{hint}Columns: {shown}")
    for key in ("features", "categories"):
        for name in named[key]:
            if name in target_names:
                raise ConfigError(f"data.{key}: '{name}' is the target, which is no feature")
            if name == weights:
                raise ConfigError(f"data.{key}: '{name}' holds the weights, which are no feature")
            if name in ignore or (features is not None and name not in features):
                raise ConfigError(f"data.{key}: '{name}' is no feature, by data.ignore or data.features")
    if weights is not None and weights in target_names:
        raise ConfigError(f"data.weights: '{weights}' is the target")
    if features is None:
        others = {*target_names, *ignore, weights, split_column}
        found = [name for name in columns if name not in others]
    else:
        found = [name for name in columns if name in features]
    if not found:
        raise ConfigError("data.features: no column is left that could be a feature")
    return found


def _target_values(table: _Table, names: Sequence[str], task: str) -> np.ndarray:
    """Shape (n,) of one target, (n, k) of several."""
    import pandas as pd

    found = []
    for name in names:
        column = table.frame[name]
        if task in ("regression", "multilabel") and not pd.api.types.is_bool_dtype(column.dtype):
            found.append(table.numbers(name, f"{task} needs numbers"))
        elif pd.api.types.is_numeric_dtype(column.dtype) and column.isna().any():
            found.append(column.to_numpy(np.float64, na_value=np.nan))
        elif pd.api.types.is_numeric_dtype(column.dtype):
            found.append(column.to_numpy())
        else:
            found.append(column.astype(object).where(column.notna(), None).to_numpy(object))
    return found[0] if len(found) == 1 and task != "multilabel" else np.stack(found, axis=1)


def _parts(
    table: _Table,
    values: np.ndarray,
    task: str,
    validation: float,
    test: float,
    how: str,
    column_name: str | None,
    seed: int,
) -> splits.Parts:
    """The first file's rows by `how`, the other files' as they are."""
    n = table.n_first
    column = None
    if column_name is not None:
        column = table.order(column_name) if how == "time" else table.frame[column_name].iloc[:n].to_numpy(object)
        if how != "time":
            _check_not_missing(column, column_name)
            column = column if how == "column" else np.array([str(value) for value in column], object)
    has_own = {key for key in table.kinds if key != "path"}
    parts = splits.split(
        n,
        how,
        0 if "validation_path" in has_own else validation,
        0 if "test_path" in has_own else test,
        seed,
        values[:n] if task in targets.WITH_CLASSES else None,
        column,
        column_name,
        has_files=bool(has_own),
    )
    for start, end, key in zip(table.ends, table.ends[1:], table.kinds[1:], strict=False):
        rows = np.arange(start, end)
        parts = parts._replace(**{"val" if key == "validation_path" else "test": rows})
    return parts


def _check_not_missing(column: np.ndarray, name: str) -> None:
    n_missing = sum(value is None or value != value for value in column)
    if n_missing:
        rows = "1 row has" if n_missing == 1 else f"{n_missing} rows have"
        raise ConfigError(f"data.split_column: {rows} no value in '{name}'")


def features_of(raw: Mapping[str, np.ndarray], train: np.ndarray, max_categories: int) -> dict[str, Feature]:
    """What the training part tells of each column of raw rows, which are as `encode_rows` has them.

    Columns that tell nothing are left out, with a line in the log.

    Args:
        train: indices of the training examples.

    Raises:
        ConfigError: if none is left, or two inputs of the model would have one name.
    """
    found: dict[str, Feature] = {}
    for name, whole in raw.items():
        values = whole[train]
        feature = _number(name, values) if values.dtype == np.float32 else _category(name, values, max_categories)
        if isinstance(feature, str):
            log.info("data: column '%s' is left out: %s", name, feature)
        else:
            found[name] = feature
    if not found:
        raise ConfigError("data.features: all columns have the same value in each training example; none is left")
    taken = [name for each in found.values() for name in (each.input_name, *([each.missing_name] * each.has_missing))]
    twice = [name for name in taken if taken.count(name) > 1]
    if twice:
        raise ConfigError(f"data.ignore: two inputs of the model would be called '{twice[0]}'; rename a column")
    return found


def _number(name: str, values: np.ndarray) -> Feature | str:
    present = values[~np.isnan(values)].astype(np.float64)
    has_missing = len(present) < len(values)
    if not len(present):
        return "it is empty"
    mean, deviation = float(present.mean()), float(present.std())
    is_constant = bool((present == present[0]).all())
    if is_constant and not has_missing:
        return f"it is {present[0]:g} in each training example"
    # Below it the scale would be infinite in 32 bits.
    smallest = float(np.finfo(np.float32).tiny)
    return Feature(name, "number", mean, 1.0 if is_constant or deviation < smallest else deviation, has_missing)


def _category(name: str, values: np.ndarray, max_categories: int) -> Feature | str:
    counts = Counter(values.tolist())
    if len(counts) == 1:
        (only,) = counts
        return f"it is '{only}' in each training example" if only else "it is empty"
    del counts[""]
    if max(counts.values()) == 1:
        return "each of its texts occurs once"
    most_frequent = sorted(counts, key=lambda text: (-counts[text], text))[:max_categories]
    return Feature(name, "category", vocabulary=tuple(most_frequent))


def _read(key: str, path: str, as_text: set[str]) -> tuple[pd.DataFrame, str | None]:
    """The table in a file, and what separates its columns; None in a Parquet file."""
    found = data_files.existing(key, path)
    if found.suffix.lower() in PARQUET:
        frame, separator = _read_parquet(key, found), None
    else:
        frame, separator = _read_csv(key, found, as_text)
    if not len(frame):
        raise ConfigError(f"data.{key}: {path} has no rows")
    return frame, separator


def _read_parquet(key: str, path: Path) -> pd.DataFrame:
    with optional_packages.needed_by(f"data.{key}: the Parquet file {path.name}", "parquet"):
        import pandas as pd
        import pyarrow.parquet as parquet
    try:
        names = parquet.read_schema(path).names
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise ConfigError(f"data.{key}: {path} is no Parquet file that can be read ({_one_line(error)})") from None
    _check_names(key, path, names)
    return frame[[name for name in frame.columns if name in names]].reset_index(drop=True)


def _read_csv(key: str, path: Path, as_text: set[str]) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    encoding = _encoding(key, path)
    try:
        with open(path, encoding=encoding, newline="") as file:
            separator, names = _sniffed(key, path, file.read(N_CHARACTERS))
        _check_names(key, path, [name for name in names if name])
        columns = [name or f"unnamed {number}" for number, name in enumerate(names, 1)]
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=separator,
                header=0,
                names=columns,
                index_col=False,
                encoding=encoding,
                compression=None,
                dtype={name: "str" for name in as_text if name in columns},
                skipinitialspace=True,
                low_memory=False,
            )
    except UnicodeDecodeError:
        raise ConfigError(f"data.{key}: {path} isn't in UTF-8 ({_not_utf8(path)}); save it as UTF-8") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, csv_format.Error) as error:
        raise ConfigError(f"data.{key}: {path} is no CSV file that can be read ({_one_line(error)})") from None
    except OSError as error:
        raise ConfigError(f"data.{key}: {path} can't be read ({error.strerror})") from None
    for number, name in enumerate(names, 1):
        if not name:
            log.info("data: column %d of %s has no name and is left out", number, path.name)
    return frame[[name for name in columns if name in names]], separator


def _encoding(key: str, path: Path) -> str:
    try:
        with open(path, "rb") as file:
            start = file.read(1 << 16)
    except OSError as error:
        raise ConfigError(f"data.{key}: {path} can't be read ({error.strerror})") from None
    if not start.strip():
        raise ConfigError(f"data.{key}: {path} is empty")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):  # as spreadsheets write "Unicode text"
        return "utf-16"
    if b"\0" in start:
        raise ConfigError(f"data.{key}: {path} is no text file; CSV is text, Parquet files end in .parquet")
    return "utf-8-sig"


def _sniffed(key: str, path: Path, text: str) -> tuple[str, list[str]]:
    """The separator, and the names of the columns, stripped: that of the candidates which gives the most columns."""

    def rows(separator: str) -> Iterator[list[str]]:
        reader = csv_format.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        return (row for row in reader if row)

    tables = {separator: list(itertools.islice(rows(separator), N_SNIFFED)) for separator in SEPARATORS}
    separator = max(SEPARATORS, key=lambda each: (_n_regular(tables[each]), len(tables[each][0])))
    table = list(rows(separator))
    names = [name.strip() for name in table[0]]
    if len(text) == N_CHARACTERS:  # the last row is cut off
        del table[-1]
    for number, row in enumerate(table[1:], 1):
        if len(row) != len(names):
            fields = "1 field" if len(row) == 1 else f"{len(row)} fields"
            raise ConfigError(f"data.{key}: row {number} of {path} has {fields} for {len(names)} columns")
    return separator, names


def _n_regular(table: list[list[str]]) -> int:
    """How many rows have as many fields as the first one, if these are several."""
    n_columns = len(table[0])
    return 0 if n_columns < 2 else sum(len(row) == n_columns for row in table)


def _check_names(key: str, path: Path, names: Sequence[str]) -> None:
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise ConfigError(f"data.{key}: {path} has two columns '{twice[0]}'")


def _not_utf8(path: Path) -> str:
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return f"byte 0x{line[error.start]:02x} in line {number}"
    return "its bytes are no text"


def _one_line(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error)).removeprefix("Error tokenizing data. C error: ").strip()
