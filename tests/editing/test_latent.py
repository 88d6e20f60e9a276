"""Latents check what they are made of."""

import numpy as np
import pytest

from mien.editing.latent import Latent
from mien.errors import EditError


def test_a_latent_keeps_its_codes_from_being_changed() -> None:
    codes = np.zeros((10, 512))
    latent = Latent(codes)  # type: ignore[arg-type]
    codes[0] = 1
    assert latent.codes.dtype == np.float32 and not latent.codes.any()
    with pytest.raises(ValueError, match="read-only"):
        latent.codes[0] = 1


@pytest.mark.parametrize("wrong", [np.zeros(512), np.zeros((10, 100)), np.zeros((0, 512)), np.zeros((1, 10, 512))])
def test_another_shape_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(EditError, match="layers, 512"):
        Latent(wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(EditError, match="finite"):
        Latent(np.full((10, 512), value))
