"""A router on photographs of any size, depth and colour."""

import dataclasses

import numpy as np
import pytest

from retina_adapt.imaging import FieldOfViewError, Photograph
from retina_adapt.routing import CLASSES, Router

ADAPTORS = CLASSES[1:]


def test_the_same_photograph_gives_the_same_route(router: Router, photograph: Photograph) -> None:
    assert router.route(photograph, ADAPTORS) == router.route(photograph, ADAPTORS)


def test_the_photograph_is_not_changed(router: Router, photograph: Photograph) -> None:
    before = photograph.pixels.copy()
    router.route(photograph, ADAPTORS)
    assert np.array_equal(photograph.pixels, before)


def test_only_the_field_of_view_counts(router: Router, photograph: Photograph) -> None:
    """Not where the eye lies in the frame; its rim is found anew, to a fraction of a pixel."""
    wide = dataclasses.replace(photograph, pixels=np.pad(photograph.pixels, ((30, 10), (5, 60), (0, 0))))
    one, other = (router.route(given, ADAPTORS).probabilities for given in (photograph, wide))
    assert list(one.values()) == pytest.approx(list(other.values()), abs=2e-3)


def test_a_grey_photograph_is_judged_as_three_equal_channels(router: Router, photograph: Photograph) -> None:
    grey = photograph.pixels[..., 1:2]
    one, other = (Photograph(pixels) for pixels in (grey, np.repeat(grey, 3, axis=2)))
    assert router.route(one, ADAPTORS) == router.route(other, ADAPTORS)


def test_a_known_field_of_view_may_be_given(router: Router, photograph: Photograph) -> None:
    mask = np.zeros(photograph.pixels.shape[:2], dtype=bool)
    mask[40:110, 60:130] = True
    assert router.route(photograph, ADAPTORS, mask=mask) != router.route(photograph, ADAPTORS)


def test_a_photograph_without_a_field_of_view_is_an_error_that_names_it(router: Router) -> None:
    with pytest.raises(FieldOfViewError, match="the night"):
        router.route(Photograph(np.zeros((80, 80, 3), dtype=np.float32)), ADAPTORS, name="the night")
