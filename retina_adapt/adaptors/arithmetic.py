"""Weighted sums of adaptors: several acting at once, or one interpolated between several."""

import copy
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import torch
from peft import PeftConfig, PeftModel

from retina_adapt.adaptors.attach import assign_or_detach, attach_adaptor
from retina_adapt.adaptors.kinds import KINDS, kind_of
from retina_adapt.adaptors.layers import tuner_layers
from retina_adapt.adaptors.merging import require_unmerged
from retina_adapt.adaptors.names import require_attached
from retina_adapt.adaptors.stored_settings import settings_to_plain
from retina_adapt.adaptors.tensors import adaptor_tensors
from retina_adapt.errors import RetinaAdaptError


class AdaptorArithmeticError(RetinaAdaptError):
    """An undefined sum of adaptors."""


def set_adaptor_weights(adapted: PeftModel, weights: Mapping[str, float]) -> None:
    """Let these adaptors act together, frozen, each change scaled by its weight.

    Every adapted layer gives output + sum_i weight_i * change_i, where change_i is what adaptor i alone would change in
    that layer. 0 means no change, 1 the adaptor as trained; negative weights and weights above 1 extrapolate. Weights
    persist until they are set again, even while other adaptors are active. Adaptors not named here are reset to
    weight 1 and do not act.

    Raises:
        AdaptorNameError: an adaptor named here is not attached.
        AdaptorArithmeticError: no weights were given, a weight is not finite, or an adaptor's kind changes the layer
            by something other than addition (DoRA, IA3 and BOFT multiply).
        MergeError: an adaptor is merged into the backbone.
    """
    require_attached(adapted, *weights)
    _require_finite(weights)
    require_unmerged(adapted.get_base_model())
    for name in weights:
        kind = kind_of(adapted.peft_config[name])
        if not KINDS[kind].additive:
            raise AdaptorArithmeticError(
                f"'{name}' is of the kind {kind}, whose change is not additive, so it cannot be weighted; activate it "
                "alone with `set_adapter`"
            )
    layer: Any  # PEFT's base class for layers lacks `set_scale`, which every additive kind has
    for _, layer in tuner_layers(adapted.get_base_model()):
        for name in adapted.peft_config:
            if KINDS[kind_of(adapted.peft_config[name])].additive:
                layer.set_scale(name, float(weights.get(name, 1.0)))
    names = list(weights)
    # PeftModel's own method allows only one active adaptor; its attribute names the one whose settings it reports.
    adapted.active_adapter = names[0]
    tuner: Any = adapted.base_model
    tuner.set_adapter(names, inference_mode=True)


def interpolate_adaptors(adapted: PeftModel, weights: Mapping[str, float], new_name: str) -> None:
    """Attach a frozen adaptor `new_name`, each parameter the weighted mean of these adaptors' parameters.

    Meant for adaptors trained from a common one: those of unrelated trainings have no meaningful mean.

    Args:
        weights: by adaptor name, summing to 1. Negative weights extrapolate.

    Raises:
        AdaptorNameError: an adaptor named here is not attached, or `new_name` is taken or cannot be used.
        AdaptorArithmeticError: a weight is not finite, the weights do not sum to 1, or the adaptors differ in kind or
            settings.
    """
    require_attached(adapted, *weights)
    _require_finite(weights)
    if not math.isclose(sum(weights.values()), 1.0, abs_tol=1e-6):
        raise AdaptorArithmeticError(f"the weights sum to {sum(weights.values()):g}; for a mean they must sum to 1")
    first, *others = weights
    tensors = {name: adaptor_tensors(adapted, name) for name in weights}
    for other in others:
        differing = _differing_settings(adapted.peft_config[first], adapted.peft_config[other])
        if not differing and tensors[first].keys() != tensors[other].keys():
            differing = ["the layers they are in"]
        if differing:
            raise AdaptorArithmeticError(
                f"'{first}' and '{other}' differ in {', '.join(differing)}; only adaptors of one kind with equal "
                "settings can be interpolated"
            )
    mean = {
        key: sum(
            (float(weight) * tensors[name][key].detach() for name, weight in weights.items()), start=torch.zeros(())
        )
        for key in tensors[first]
    }
    attach_adaptor(adapted, copy.deepcopy(adapted.peft_config[first]), new_name, without_values=True)
    assign_or_detach(adapted, new_name, mean)


def _differing_settings(first: PeftConfig, other: PeftConfig) -> list[str]:
    if kind_of(first) != kind_of(other):
        return ["kind"]
    settings = settings_to_plain(other)
    return sorted(key for key, value in settings_to_plain(first).items() if settings[key] != value)


def _require_finite(weights: Mapping[str, float]) -> None:
    if not weights:
        raise AdaptorArithmeticError("no weights were given; give at least one adaptor a weight")
    for name, weight in weights.items():
        # NumPy's numbers, of whatever precision, are among these.
        if not isinstance(weight, Real) or not math.isfinite(weight):
            raise AdaptorArithmeticError(f"the weight of '{name}' is {weight!r}; give a finite number")
