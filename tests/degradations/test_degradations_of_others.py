"""What a registered degradation draws and returns is checked, and its input is out of its reach."""

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_fundus import draw_fundus

from retina_adapt.degradations import (
    DegradationResultError,
    DrawnStep,
    apply_degradation,
    apply_step,
    draw_degradation,
    draw_step,
    register_degradation,
    register_preset,
)

pytestmark = pytest.mark.usefixtures("own_registry")


def register(apply: Callable[..., Any] = lambda pixels, *_: pixels, parameters: Any = None) -> None:
    """The degradation `foreign`, and a preset of it and of one of ours before it."""
    drawn = {} if parameters is None else parameters
    register_degradation("foreign", draw=lambda generator, severity: drawn, apply=apply)
    register_preset("twice", steps=["low_light", "foreign"], severity_range=(0.5, 0.5))


def scale_in_place(pixels: np.ndarray, mask: np.ndarray, parameters: dict) -> np.ndarray:
    pixels *= 0.5
    return pixels


def paint_in_place(pixels: np.ndarray, mask: np.ndarray, parameters: dict) -> np.ndarray:
    pixels[mask] = 0.5
    return pixels


def blur_in_place(pixels: np.ndarray, mask: np.ndarray, parameters: dict) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (0, 0), 2, dst=pixels)


def widen_the_field_of_view(pixels: np.ndarray, mask: np.ndarray, parameters: dict) -> np.ndarray:
    mask[:] = True
    return pixels * 0.5


@pytest.mark.parametrize("apply", [scale_in_place, paint_in_place, blur_in_place, widen_the_field_of_view])
def test_a_degradation_that_works_in_place_is_named_and_changes_nothing(apply: Callable[..., np.ndarray]) -> None:
    register(apply)
    pixels, mask = draw_fundus(32, 32)
    before = pixels.copy(), mask.copy()
    with pytest.raises(DegradationResultError, match=r"'foreign' works in place.*pixels\.copy\(\)"):
        apply_step(pixels, mask, DrawnStep("foreign", {}))
    assert np.array_equal(pixels, before[0])
    assert np.array_equal(mask, before[1])
    # What the caller gave may still be written to.
    assert pixels.flags.writeable
    assert mask.flags.writeable


def test_a_degradation_that_changes_a_copy_is_taken_and_its_other_errors_are_its_own() -> None:
    def apply(pixels: np.ndarray, mask: np.ndarray, parameters: dict) -> np.ndarray:
        if "wrong" in parameters:
            raise ValueError("of the degradation itself")
        return scale_in_place(pixels.copy(), mask, parameters)

    register(apply)
    pixels, mask = draw_fundus(32, 32)
    assert np.array_equal(apply_step(pixels, mask, DrawnStep("foreign", {}))[mask], pixels[mask] * 0.5)
    with pytest.raises(ValueError, match="of the degradation itself"):
        apply_step(pixels, mask, DrawnStep("foreign", {"wrong": True}))


def with_a_hole(pixels: np.ndarray, value: float) -> np.ndarray:
    changed = pixels.copy()
    changed[16, 16, 0] = value
    return changed


@pytest.mark.parametrize(
    ("apply", "found"),
    [
        (lambda pixels, *_: pixels[:16], r"float32 \(16, 32, 3\)"),
        (lambda pixels, *_: pixels[..., 0], r"float32 \(32, 32\)"),
        (lambda pixels, *_: pixels[..., :1], r"float32 \(32, 32, 1\)"),
        (lambda pixels, *_: (pixels * 255).astype(np.uint8), r"uint8 \(32, 32, 3\)"),
        (lambda pixels, *_: None, "NoneType"),
        (lambda pixels, *_: with_a_hole(pixels, np.nan), "not finite"),
        (lambda pixels, *_: with_a_hole(pixels, np.inf), "not finite"),
    ],
)
def test_what_is_no_picture_of_the_same_shape_is_an_error_that_names_the_degradation(
    apply: Callable[..., Any], found: str
) -> None:
    register(apply)
    pixels, mask = draw_fundus(32, 32)
    with pytest.raises(DegradationResultError, match=f"degradation 'foreign' returned .*{found}"):
        apply_degradation(pixels, mask, draw_degradation("twice", seed=0))


def test_any_floats_are_taken_and_outside_the_field_of_view_whatever_is_there() -> None:
    pixels, mask = draw_fundus(32, 32)

    def apply(pixels: np.ndarray, mask: np.ndarray, parameters: dict) -> np.ndarray:
        return np.where(mask[..., None], pixels.astype(np.float64) * 0.5, np.nan)

    register(apply)
    degraded = apply_step(pixels, mask, DrawnStep("foreign", {}))
    assert degraded.dtype == np.float32
    assert np.array_equal(degraded[mask], pixels[mask] * np.float32(0.5))
    assert np.array_equal(degraded[~mask], pixels[~mask])


@pytest.mark.parametrize(
    "parameters",
    [
        {"depth": np.float32(0.5)},
        {"seed": np.int64(3)},
        {"depth": float("nan")},
        {"center": (0.1, 0.2)},
        {"grid": np.zeros(3)},
        {1: 0.5},
        [0.5],
        "0.5",
    ],
)
def test_a_draw_that_json_would_not_give_back_is_an_error_that_names_the_degradation(parameters: Any) -> None:
    register(parameters=parameters)
    with pytest.raises(DegradationResultError, match=r"'foreign' drew .*JSON"):
        draw_step("foreign", generator=np.random.default_rng(0), severity=0.5)
    with pytest.raises(DegradationResultError, match=r"'foreign' drew .*JSON"):
        draw_degradation("twice", seed=0)


def test_json_values_of_every_kind_are_drawn() -> None:
    parameters = {"depth": np.float64(0.5), "turns": 3, "kind": "soft", "none": None, "spots": [{"at": [0.1, 0.2]}]}
    register(parameters=parameters)
    drawn = draw_degradation("twice", seed=0)
    assert json.loads(json.dumps(drawn.to_dict()))["steps"][1]["parameters"] == parameters
