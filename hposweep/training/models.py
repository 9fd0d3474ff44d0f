"""The models of conf/model: functions that build a Keras model for the shape of the data.

A model of one's own is a function like these, anywhere on the Python path: it gets `input_shape` and `n_classes` from
the data and all keys of the model's YAML file but `_target_` and `loss`, and returns any Keras 3 model.
"""

from __future__ import annotations

import keras
from keras import layers


def softmax(input_shape: tuple[int, ...], n_classes: int) -> keras.Model:
    """Softmax regression: one linear layer ("Dive into Deep Learning", section 4.5). The softmax is in the loss."""
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(n_classes)])


def mlp(
    input_shape: tuple[int, ...],
    n_classes: int,
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
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), *hidden, layers.Dense(n_classes)])


def lenet(input_shape: tuple[int, ...], n_classes: int, activation: str) -> keras.Model:
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
            layers.Dense(n_classes),
        ]
    )
