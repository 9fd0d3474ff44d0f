"""The axis of a hyperparameter: numbers on the scale on which they are searched, options in columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hposweep.results.figures.style import even_ticks, log_ticks, plain, spans_decades
from hposweep.results.sweep_data import SweepData, is_number
from hposweep.search_space import Value, literal
from hposweep.sweep_folder.tables import cell_text

MOST_OPTIONS = 40  # named on an axis
MOST_NUMERIC_OPTIONS = 12  # up to so many options that are numbers are evenly spaced
SPREAD = 0.5  # of a column's width
MOST_COLUMNS = 12  # of whole numbers
MOST_LETTERS = 44  # of the names of options that stand side by side


@dataclass(frozen=True)
class HyperparameterAxis:
    """Positions on a hyperparameter's axis: of a number itself, of any other value the number of its option."""

    options: Mapping[str, int]  # by their literals; empty for numbers
    names: Sequence[str]  # of the options
    is_log: bool
    are_whole: bool  # numbers without fractions alone
    low: float = 0.0  # smallest and largest number
    high: float = 0.0

    @classmethod
    def of(cls, sweep: SweepData, key: str, modelled: Sequence[Value] = ()) -> HyperparameterAxis:
        """The axis for the values of all trials, and for those where a model tells something."""
        tried = [trial.configuration[key] for trial in sweep.trials if key in trial.configuration]
        values = [*tried, *modelled]
        is_numeric = all(is_number(value) for value in values)
        if is_numeric and not (sweep.is_choice(key) and len(set(values)) <= MOST_NUMERIC_OPTIONS):
            is_log = sweep.is_log(key) or (not sweep.priors(key) and spans_decades(values))
            is_log = is_log and all(value > 0 for value in values)
            are_whole = all(isinstance(value, int) for value in tried)
            return cls({}, (), is_log, are_whole, min(values, default=0.0), max(values, default=0.0))
        by_literal = {literal(value): value for value in values}
        order = sorted(by_literal, key=by_literal.__getitem__) if is_numeric else sorted(by_literal)
        names = [plain(cell_text(by_literal[text]), 24) for text in order]
        return cls({text: i for i, text in enumerate(order)}, names, is_log=False, are_whole=False)

    @property
    def is_in_columns(self) -> bool:
        """Whether the values are so few that trials stand in columns."""
        return bool(self.options) or (self.are_whole and not self.is_log and self.high - self.low < MOST_COLUMNS)

    def position(self, value: Value, number: int | None = None) -> float:
        """The position; with a trial's number spread a little in a column, so that trials don't hide each other."""
        spread = 0.0 if number is None or not self.is_in_columns else ((number * 0.618034) % 1 - 0.5) * SPREAD
        return (self.options[literal(value)] if self.options else float(value)) + spread

    @property
    def ends(self) -> tuple[float, float]:
        """Of the values, on a log axis of their logarithms."""
        if self.options:
            return -0.5, len(self.options) - 0.5
        if self.is_in_columns:
            return self.low - 0.5, self.high + 0.5
        return (math.log10(self.low), math.log10(self.high)) if self.is_log else (self.low, self.high)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Positions, on a log axis of the logarithms, and texts."""
        low, high = self.ends
        if self.options:
            return [(float(i), name) for i, name in enumerate(self.names)] if len(self.options) <= MOST_OPTIONS else []
        if self.is_log:
            # Random draws come close to the ends of their range, but seldom reach them.
            return log_ticks(low - 0.1, high + 0.1)
        return even_ticks(low, high, are_whole=self.are_whole)

    def layout(self, under: Sequence[str] = ()) -> dict[str, Any]:
        """What plotly calls it, with a second line under the names of options."""
        if self.options and len(self.options) > MOST_OPTIONS:
            return {"showticklabels": False, "range": [-0.6, len(self.options) - 0.4]}
        texts = [text for _, text in self.ticks]
        if self.options:
            is_short = len(texts) * max(map(len, texts)) <= MOST_LETTERS
            names = (
                [f"{text}<br>{line}" for text, line in zip(texts, under, strict=True)] if is_short and under else texts
            )
            angle = {"tickangle": 0} if is_short else {}
            columns = {"range": [-0.6, len(self.options) - 0.4], "showgrid": False}
            return {"tickvals": list(range(len(texts))), "ticktext": names, **angle, **columns}
        low, high = self.ends
        margin = 0.1 if self.is_in_columns else 0.04 * (high - low) or 0.5
        at = [10**tick if self.is_log else tick for tick, _ in self.ticks]
        kind = {"type": "log"} if self.is_log else {}
        return {"range": [low - margin, high + margin], "tickvals": at, "ticktext": texts, "tickangle": 0, **kind}
