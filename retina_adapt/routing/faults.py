"""The classes that a router tells apart: clear, one kind of fault, or what no single kind describes."""

from retina_adapt.degradations import DrawnDegradation

CLEAR = "clear"
MIXED = "mixed"
CLASSES = (CLEAR, "light", "blur", "spots", "haze", MIXED)

NEGLIGIBLE_SEVERITY = 0.1
"""Up to this severity a degraded photograph counts as clear: the presets are plainly visible from 0.4 on."""

_CLASS_OF_STEP = {
    "halo": "light",
    "hole": "light",
    "uneven_illumination": "light",
    "low_light": "light",
    "gaussian_blur": "blur",
    "defocus": "blur",
    "spots": "spots",
    "cataract_haze": "haze",
}
# Its blocks are 8 pixels of the file: at the size that networks see, little or nothing is left of them.
_IGNORED_STEPS = {"jpeg_compression"}


def fault_class(drawn: DrawnDegradation) -> str:
    """The class of a photograph degraded by `drawn`, one of `CLASSES`.

    What was drawn decides, not the preset's name: if `mixed` draws a single fault, the class is that of the fault.
    Several kinds of fault together are `mixed`, and so are colour, contrast and noise, which no adaptor for a single
    kind undoes. Up to `NEGLIGIBLE_SEVERITY`, or if only JPEG compression was drawn, the photograph is `clear`.
    """
    if drawn.severity <= NEGLIGIBLE_SEVERITY:
        return CLEAR
    kinds = {_CLASS_OF_STEP.get(step.name, MIXED) for step in drawn.steps if step.name not in _IGNORED_STEPS}
    if not kinds:
        return CLEAR
    return kinds.pop() if len(kinds) == 1 else MIXED
