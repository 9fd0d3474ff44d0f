"""The models of conf/model: functions that build a Keras model for the shape of the data.

A model of one's own is a function like these, anywhere on the Python path. It gets all keys of the model's YAML file
but `_target_` and `loss`, and what its signature names of `input_shape`, `n_classes`, `output_shape` and `features`,
which come from the data and the task. It returns any Keras 3 model, whose output is not activated: the loss does that.
"""

from __future__ import annotations

import math

import keras
from keras import layers


def softmax(input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> keras.Model:
    """Softmax regression: one linear layer ("Dive into Deep Learning", section 4.5). The softmax is in the loss; in
    tasks without classes this is linear regression (section 3.1).
    """
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), *_last(output_shape)])


def mlp(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    num_hiddens: int,
    num_layers: int,
    dropout: float,
    activation: str,
    batch_norm: bool,
) -> keras.Model:
    """Multilayer perceptron ("Dive into Deep Learning", section 5.2; 5.6 on dropout, 8.5 on batch normalization)."""
    hidden: list[keras.Layer] = []
    for _ in range(num_layers):
        hidden.append(layers.Dense(num_hiddens, use_bias=not batch_norm))
        if batch_norm:
            hidden.append(layers.BatchNormalization())
        hidden.append(layers.Activation(activation))
        if dropout > 0:
            hidden.append(layers.Dropout(dropout))
    # In one piece: a model that grows by `add` is built anew each time.
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), *hidden, *_last(output_shape)])


def lenet(input_shape: tuple[int, ...], output_shape: tuple[int, ...], activation: str) -> keras.Model:
    """LeNet-5 ("Dive into Deep Learning", section 7.6, with the activation as an option)."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(6, kernel_size=5, padding="same", activation=activation),
            layers.AveragePooling2D(pool_size=2, strides=2),
            layers.Conv2D(16, kernel_size=5, activation=activation),
            layers.AveragePooling2D(pool_size=2, strides=2),
            layers.Flatten(),
            layers.Dense(120, activation=activation),
            layers.Dense(84, activation=activation),
            *_last(output_shape),
        ]
    )


def _last(output_shape: tuple[int, ...]) -> list[keras.Layer]:
    dense = layers.Dense(math.prod(output_shape))
    return [dense] if len(output_shape) == 1 else [dense, layers.Reshape(output_shape)]
