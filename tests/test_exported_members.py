"""`mien` exports exactly its public names, and each of them is there."""

import pytest

import mien


@pytest.mark.parametrize("name", mien.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(mien, name) is not None


def test_the_public_names_are_the_ones_meant() -> None:
    assert mien.__all__ == sorted(mien.__all__, key=str.casefold) or mien.__all__ == sorted(mien.__all__)
    assert dir(mien) == sorted(mien.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'reenactor_'"):
        mien.reenactor_  # noqa: B018


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert mien.__version__ == version("mien")


def test_the_command_and_its_sub_commands_load() -> None:
    from importlib.metadata import distribution

    points = {(point.group, point.name): point for point in distribution("mien").entry_points}
    assert callable(points["console_scripts", "mien"].load())
    assert ("mien.commands", "export") in points
    for (group, _), point in points.items():
        assert group in ("console_scripts", "mien.commands")
        assert callable(point.load())
