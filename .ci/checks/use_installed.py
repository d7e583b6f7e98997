"""Use of an installed package where there is no checkout: weights and recipes are inside, a photograph is enhanced."""

import subprocess
from importlib.metadata import distribution
from pathlib import Path

import numpy as np

import retina_adapt
from retina_adapt.commands.draw import draw_photographs
from retina_adapt.embedded import embedded_names
from retina_adapt.imaging import read_photograph


def main() -> None:
    """Raise if something is missing."""
    package = Path(retina_adapt.__file__).parent
    assert "site-packages" in package.parts, f"{package} is not the installed package"
    inside = {str(path) for path in distribution("retina-adapt").files or []}
    assert "retina_adapt/recipes/configs/adapt_light.yaml" in inside
    assert any(name.endswith("LICENSE") for name in inside)
    assert any(name.endswith("NOTICE") for name in inside)
    assert {"light", "blur", "spots", "haze", "mixed"} <= set(embedded_names("adaptors"))

    subprocess.run(["retina-adapt", "recipes", "copy", "adapt", "--to", "project"], check=True)
    subprocess.run(["python", "project/adapt.py", "--help"], check=True, stdout=subprocess.DEVNULL)

    (drawn,) = draw_photographs(Path("photographs"), count=1, seed=0, size=256)
    subprocess.run(["retina-adapt", "enhance", "photographs", "enhanced", "--adaptor", "light"], check=True)
    before, after = read_photograph(drawn).pixels, read_photograph(Path("enhanced") / drawn.name).pixels
    assert before.shape == after.shape
    assert not np.array_equal(before, after)
    print(f"{retina_adapt.__version__}: installed from its wheel, a photograph was enhanced")


if __name__ == "__main__":
    main()
