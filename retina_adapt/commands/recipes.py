"""`retina-adapt recipes`: the training scripts that travel with the package."""

import shutil
from pathlib import Path

from retina_adapt.errors import RetinaAdaptError


class RecipeError(RetinaAdaptError):
    """A recipe that does not exist, or a file that copying it would overwrite."""


def recipes_folder() -> Path:
    """Where the recipes are: in the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def recipe_names() -> list[str]:
    """Names of the recipes, without `.py`."""
    return sorted(path.stem for path in recipes_folder().glob("*.py"))


def copy_recipe(name: str, output: Path) -> list[Path]:
    """Copy a recipe and its configurations to a folder; return the new files.

    Raises:
        RecipeError: for an unknown name, or where a file is there already.
    """
    if name not in recipe_names():
        raise RecipeError(f"no recipe is named '{name}'; there are: {', '.join(recipe_names())}")
    folder = recipes_folder()
    files = [folder / f"{name}.py", *sorted((folder / "configs").glob(f"{name}_*.yaml"))]
    targets = [output / path.relative_to(folder) for path in files]
    taken = [str(target) for target in targets if target.exists()]
    if taken:
        raise RecipeError(f"{', '.join(taken)}: exists already; copy to another folder with --to")
    for path, target in zip(files, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return targets
