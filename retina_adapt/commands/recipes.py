"""`retina-adapt recipes`: the training scripts that come with the package."""

import ast
import shutil
from pathlib import Path

from retina_adapt.errors import RetinaAdaptError


class RecipeError(RetinaAdaptError):
    """A recipe that does not exist, or a file that copying it would overwrite."""


# It measures the other recipes with their configurations, so copying it would mean copying everything.
_BENCHMARK = "benchmark"
# Recipes that import another one, and need it beside them.
_IMPORTS = {"sweep": "adapt"}


def recipes_folder() -> Path:
    """Where the recipes are: in the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def recipe_names() -> list[str]:
    """Names of the recipes that can be copied, without `.py`."""
    return sorted({path.stem for path in recipes_folder().glob("*.py")} - {_BENCHMARK})


def recipe_summary(name: str) -> str:
    """The first line of a recipe's own description."""
    script = (recipes_folder() / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(script)) or "").split("\n")[0]


def copy_recipe(name: str, output: Path) -> list[Path]:
    """Copy a recipe and its configurations to a folder; return the new files.

    A recipe that it imports and the launcher's configurations for several processes are copied too, except for files
    that exist already: those may be changed copies.

    Raises:
        RecipeError: the name is unknown or `benchmark`, `output` is a file, or one of the recipe's own files exists
            there already.
    """
    if name == _BENCHMARK:
        raise RecipeError(
            f"'{name}' needs all other recipes and is not copied; run it where it is: "
            f"python {recipes_folder() / _BENCHMARK}.py"
        )
    if name not in recipe_names():
        raise RecipeError(f"no recipe is named '{name}'; there are: {', '.join(recipe_names())}")
    folder = recipes_folder()
    if output.exists() and not output.is_dir():
        raise RecipeError(f"{output}: is a file; give a folder to copy to with --to")
    files = _files_of(name)
    taken = [str(output / file) for file in files if (output / file).exists()]
    if taken:
        raise RecipeError(f"{', '.join(taken)}: exists already; copy to another folder with --to")
    companions = _files_of(_IMPORTS[name]) if name in _IMPORTS else []
    companions += _launcher_files(name)
    files += [file for file in companions if not (output / file).exists()]
    for file in files:
        target = output / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, target)
    return [output / file for file in files]


def _launcher_files(name: str) -> list[Path]:
    """Configurations of `accelerate launch`, for a recipe that is started with it."""
    script = (recipes_folder() / f"{name}.py").read_text(encoding="utf-8")
    if "accelerate launch" not in script:
        return []
    found = sorted((recipes_folder() / "configs" / "accelerate").glob("*.yaml"))
    return [path.relative_to(recipes_folder()) for path in found]


def _files_of(name: str) -> list[Path]:
    """A recipe and its configurations, relative to the folder of recipes."""
    longer = tuple(f"{other}_" for other in recipe_names() if other.startswith(f"{name}_"))
    configs = sorted((recipes_folder() / "configs").glob(f"{name}_*.yaml"))
    own = [path for path in configs if not path.name.startswith(longer)]
    return [Path(f"{name}.py"), *(path.relative_to(recipes_folder()) for path in own)]
