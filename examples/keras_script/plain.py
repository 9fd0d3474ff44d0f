"""A plain Keras script: a perceptron for 1,797 handwritten digits."""

import keras
from sklearn.datasets import load_digits

images, digits = load_digits(return_X_y=True)
images = images / 16

model = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    images[:1200], digits[:1200], batch_size=50, epochs=9, validation_data=(images[1200:], digits[1200:]), verbose=0
)
print("val_accuracy", history.history["val_accuracy"][-1])
