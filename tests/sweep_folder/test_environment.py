"""The version of hposweep, installed or not."""

from importlib import metadata

import pytest

import hposweep
from hposweep.sweep_folder import environment


def test_the_package_has_the_version_of_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"hposweep": "7.8.9"}[name])
    assert hposweep.__version__ == "7.8.9"


def test_a_checkout_that_is_not_installed_has_that_of_its_pyproject(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    installed = environment.version()
    monkeypatch.setattr(metadata, "version", not_installed)
    assert environment.version() == installed
