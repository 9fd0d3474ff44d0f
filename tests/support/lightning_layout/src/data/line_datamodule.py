import random
from collections.abc import Iterator

Point = tuple[float, float]


class LineDataModule:
    """Points on the line y = 2 x."""

    def __init__(self, data_dir: str, batch_size: int, n_points: int) -> None:
        self.data_dir, self.batch_size = data_dir, batch_size
        self.train = [(x, 2 * x) for x in (number / n_points for number in range(n_points))]
        self.validation = [(x + 0.5 / n_points, 2 * x + 1 / n_points) for x, _ in self.train]

    def train_batches(self) -> Iterator[list[Point]]:
        points = random.sample(self.train, len(self.train))
        for first in range(0, len(points), self.batch_size):
            yield points[first : first + self.batch_size]
