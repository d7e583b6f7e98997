"""Describe in words what a preset does, from what is registered."""

from retina_adapt.degradations.registry import Choice, PresetStep, find_preset


def describe_preset(name: str) -> str:
    """The steps of a preset in their order, and its range of severities.

    >>> describe_preset("noise")
    'noise, 0 or 1 of jpeg_compression; severity 0.5 to 1'

    Raises:
        UnknownPresetError: no preset has this name.
    """
    preset = find_preset(name)
    low, high = preset.severity_range
    return f"{', '.join(_described(step) for step in preset.steps)}; severity {low:g} to {high:g}"


def _described(step: PresetStep) -> str:
    if isinstance(step, str):
        return step
    # An option that is itself a choice stands in brackets.
    options = ", ".join(f"({_described(option)})" if isinstance(option, Choice) else option for option in step.options)
    least, most = step.at_least, step.at_most
    count = str(least) if least == most else f"{least} {'or' if most == least + 1 else 'to'} {most}"
    return f"{count} of {options}"
