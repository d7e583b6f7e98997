"""The named presets, each a list of steps in the order in which light meets them.

The order is illumination, spots on the lens, blur and haze, sensor noise, compression. Severity ranges begin
where a fault is plainly visible.
"""

from retina_adapt.degradations.registry import Choice, register_preset

_LIGHT = Choice(("halo", "hole", "uneven_illumination", "low_light"), at_least=1, at_most=2)
_BLUR = Choice(("gaussian_blur", "defocus"))
_OPTICS = Choice((_BLUR, "cataract_haze"))
_PERHAPS_JPEG = Choice(("jpeg_compression",), at_least=0, at_most=1)

register_preset("light", steps=[_LIGHT], severity_range=(0.4, 0.9))
register_preset("low_light", steps=["low_light"], severity_range=(0.5, 1.0))
register_preset("low_contrast", steps=["low_contrast"], severity_range=(0.5, 1.0))
register_preset("color", steps=["color_shift"], severity_range=(0.5, 1.0))
register_preset("spots", steps=["spots"], severity_range=(0.6, 1.0))
register_preset("blur", steps=[_BLUR], severity_range=(0.4, 1.0))
register_preset("haze", steps=["cataract_haze"], severity_range=(0.4, 1.0))
register_preset("noise", steps=["noise", _PERHAPS_JPEG], severity_range=(0.5, 1.0))
register_preset("jpeg", steps=["jpeg_compression"], severity_range=(0.5, 1.0))
register_preset(
    "mixed",
    steps=[
        Choice((_LIGHT, "color_shift", "spots", _OPTICS, "noise"), at_least=1, at_most=3),
        _PERHAPS_JPEG,
    ],
    severity_range=(0.45, 0.9),
)
