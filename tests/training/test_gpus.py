"""What is asked of TensorFlow where it sees GPUs. No GPU is needed: what TensorFlow is asked is recorded."""

from typing import Any

import pytest
import tensorflow as tf

from hposweep.errors import ConfigError
from hposweep.training.objective import configure_tensorflow

Asked = list[tuple[Any, ...]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What TensorFlow is asked, on a machine with one GPU."""
    found: Asked = []
    experimental = tf.config.experimental
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["the GPU"] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: found.append((devices, kind)))
    monkeypatch.setattr(experimental, "set_memory_growth", lambda gpu, grows: found.append((gpu, grows)))
    monkeypatch.setattr(experimental, "enable_op_determinism", lambda: found.append(("deterministic",)))
    monkeypatch.setattr(
        tf.config,
        "set_logical_device_configuration",
        lambda gpu, limits: found.append((gpu, [limit.memory_limit for limit in limits])),
    )
    return found


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (None, [("the GPU", True)]),
        ("growth", [("the GPU", True)]),
        ("all", []),
        (2048, [("the GPU", [2048])]),
    ],
)
def test_memory_grows_unless_something_else_is_said(asked: Asked, memory: Any, expected: Asked) -> None:
    configure_tensorflow(1, use_gpu=True, gpu_memory=memory)
    assert asked == expected


def test_determinism_is_asked_for_alone_where_it_is_wanted(asked: Asked) -> None:
    configure_tensorflow(1, use_gpu=True, gpu_memory="all", deterministic=True)
    assert asked == [("deterministic",)]


def test_a_gpu_that_is_not_wanted_is_hidden(asked: Asked) -> None:
    configure_tensorflow(1, use_gpu=False, gpu_memory="all")
    assert asked == [([], "GPU")]


def test_a_gpu_that_computes_already_keeps_its_memory(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(gpu: Any, grows: bool) -> None:
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", too_late)
    with pytest.raises(ConfigError, match=r"trainer\.gpu_memory: can't change in a process that has trained already"):
        configure_tensorflow(1, use_gpu=True)
