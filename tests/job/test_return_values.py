"""What objectives return: a number, or the failure of that trial alone, in one line."""

import decimal
import fractions
import math
from typing import Any

import cloudpickle
import numpy as np
import pytest

from hposweep.job import run


class Raising:
    """Whose own methods raise this."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __float__(self) -> float:
        raise self.error

    def __repr__(self) -> str:
        raise self.error


class NoFloat:
    def __float__(self) -> float:
        return "0.5"  # type: ignore[return-value]


class Lines:
    def __repr__(self) -> str:
        return "first\n   second \udce9\n"


NUMBERS = [
    *((0.5, 0.5), (3, 3.0), (True, 1.0), ("0.25", 0.25), (b"0.25", 0.25), (decimal.Decimal("0.5"), 0.5)),
    *((fractions.Fraction(1, 2), 0.5), (np.float32(0.5), 0.5), (np.array(0.5), 0.5), (np.int64(2), 2.0)),
    *((math.inf, math.inf), (-math.inf, -math.inf), (np.float16("inf"), math.inf)),
]
ERRORS = [RuntimeError("two elements"), SystemExit(3), GeneratorExit(), MemoryError(), RecursionError()]
NO_NUMBERS = [
    (None, "None"),
    ("bad", "'bad'"),
    ("caf\udce9", r"'caf\udce9'"),
    ((1.0, 2.0), "(1.0, 2.0)"),
    ([0.5], "[0.5]"),
    ({"loss": 1.0}, "{'loss': 1.0}"),
    (np.array([0.5, 1.0]), "array([0.5, 1. ])"),
    (np.eye(2), "array([[1., 0.], [0., 1.]])"),
    (1j, "1j"),
    (np.complex128(1 + 2j), "np.complex128(1+2j)"),
    (np.array(1j), "array(0.+1.j)"),
    (decimal.Decimal("sNaN"), "Decimal('sNaN')"),
    (10**400, f"1{'0' * 96}..."),
    (10**9000, "<builtins.int object>"),  # Python writes no whole number of more than 4,300 digits
    (object(), "<object object>"),
    (Lines(), r"first second \udce9"),
    (NoFloat(), f"<{__name__}.NoFloat object>"),
    (NoFloat, f"<class '{__name__}.NoFloat'>"),
    *((Raising(error), f"<{__name__}.Raising object>") for error in ERRORS),
]


@pytest.mark.parametrize(("value", "number"), NUMBERS, ids=lambda value: type(value).__name__)
def test_a_number_of_any_kind_is_a_plain_one(value: Any, number: float) -> None:
    found = run.returned(value, None, 1.0, "0").value
    assert (found, type(found)) == (number, float)


@pytest.mark.parametrize("value", [math.nan, "nan", np.float32("nan"), decimal.Decimal("NaN"), -math.nan])
def test_nan_of_any_kind_is_a_plain_one(value: Any) -> None:
    found = run.returned(value, None, 1.0, "0").value
    assert found is not None
    assert math.isnan(found)


@pytest.mark.parametrize(("value", "text"), NO_NUMBERS, ids=lambda value: type(value).__name__)
@pytest.mark.filterwarnings("error")
def test_anything_else_is_a_failure_in_one_line(value: Any, text: str) -> None:
    result = run.returned(value, None, 1.0, "0")
    assert result.value is None
    assert result.failure == f"the objective returned {text}; it must return a number"


def test_ctrl_c_is_no_failure_of_an_objective_in_the_user_s_own_process() -> None:
    with pytest.raises(KeyboardInterrupt):
        run.as_number(Raising(KeyboardInterrupt()))


class OfTwo(Exception):  # noqa: N818
    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


class WithFile(Exception):  # noqa: N818
    def __init__(self) -> None:
        super().__init__("a file")
        self.file = open(__file__)  # noqa: SIM115


@pytest.mark.parametrize("error", [OfTwo(1, 2), WithFile()], ids=["can't be read again", "can't be pickled"])
def test_an_exception_that_can_t_be_handed_over_has_a_stand_in_that_tells_it(error: Exception) -> None:
    stand_in = run.portable(error)
    again = cloudpickle.loads(cloudpickle.dumps(stand_in))
    # Where tblib is installed, TensorFlow lets it hand over any exception.
    assert f"{type(error).__name__}: {error}" in f"{type(again).__name__}: {again}"
    assert run.failed(None, again, 1.0, "0").exception == f"{__name__}.{type(error).__name__}: {error}"
    assert run.portable(stand_in) is stand_in
