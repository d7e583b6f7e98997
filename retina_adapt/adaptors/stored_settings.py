"""An adaptor's settings as stored in its configuration: its kind's own settings, as plain JSON.

PEFT's configurations have dozens of fields, among them names of Python modules to import and patterns to match. A file
sets only the kind's own settings; an adaptor whose other settings differ from their defaults is not saved.
"""

import dataclasses
from typing import Any

from peft import PeftConfig

from retina_adapt.adaptors.errors import AdaptorFileError
from retina_adapt.adaptors.hook_point.config import AdaptorConfigError
from retina_adapt.adaptors.kinds import KINDS, kind_of

# PEFT's bookkeeping, what is found again when the adaptor is attached, and what acts only in training.
_NOT_STORED = {
    *(item.name for item in dataclasses.fields(PeftConfig)),
    "target_modules",
    "lora_dropout",
    "rank_dropout",
    "rank_dropout_scale",
    "module_dropout",
    "boft_dropout",
}


def settings_to_plain(settings: PeftConfig) -> dict[str, Any]:
    """The kind's own settings as JSON values.

    Raises:
        AdaptorConfigError: the configuration belongs to no kind in `KINDS`.
        AdaptorFileError: another setting differs from its default.
    """
    default = KINDS[kind_of(settings)].config_class()
    for item in dataclasses.fields(default):
        if item.name in default.own_settings or item.name in _NOT_STORED:
            continue
        value, expected = getattr(settings, item.name), getattr(default, item.name)
        # PEFT turns some lists into sets.
        if value != expected and not (isinstance(value, set | list) and set(value) == set(expected or ())):
            raise AdaptorFileError(
                f"the setting {item.name} = {value!r} of {type(settings).__name__} cannot be stored in an adaptor's "
                f"files; leave it at {expected!r}"
            )
    return {name: getattr(settings, name) for name in default.own_settings}


def settings_from_plain(kind: str, values: Any, *, origin: str) -> PeftConfig:
    """The strict inverse of `settings_to_plain`.

    Raises:
        AdaptorFileError: names `origin` and the setting that is unknown, missing, or has an invalid value.
    """
    if not isinstance(values, dict):
        raise AdaptorFileError(f"{origin}: settings is a {type(values).__name__}; it must hold named settings")
    config_class = KINDS[kind].config_class
    differing = sorted(set(values) ^ set(config_class.own_settings))
    if differing:
        raise AdaptorFileError(f"{origin}: settings unknown or missing for the kind {kind}: {', '.join(differing)}")
    try:
        return config_class(**values)
    except AdaptorConfigError as error:
        raise AdaptorFileError(f"{origin}: {error}") from error
