"""`retina-adapt recipes`: the verbs for the training scripts."""

from pathlib import Path
from typing import Annotated

import typer

recipes_app = typer.Typer(help="The training scripts that come with the package.", no_args_is_help=True)


@recipes_app.command("list")
def list_recipes() -> None:
    """List the recipes that can be copied, and what each is for."""
    from retina_adapt.commands.recipes import recipe_names, recipe_summary

    for name in recipe_names():
        print(f"{name}: {recipe_summary(name)}")


@recipes_app.command("copy", epilog="Example: retina-adapt recipes copy adapt --to my_project")
def copy(
    name: Annotated[str, typer.Argument(help="A name from 'retina-adapt recipes list'.")],
    to: Annotated[Path, typer.Option(help="Folder to copy to.")] = Path("recipes"),
) -> None:
    """Copy a recipe, its configurations and the recipe that it imports to a folder of yours."""
    from retina_adapt.commands.recipes import copy_recipe

    for path in copy_recipe(name, to):
        print(path)
