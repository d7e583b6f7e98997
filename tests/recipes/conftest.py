"""Recipes as modules, for tests that run them in their own process or look at what they read."""

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from retina_adapt.commands.recipes import recipes_folder


@pytest.fixture(scope="session")
def load_recipe() -> Callable[[str], ModuleType]:
    """`load_recipe("adapt")`: the recipe's module; its `main` takes the configuration."""

    def load(recipe: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"recipe_{recipe}", recipes_folder() / f"{recipe}.py")
        module = importlib.util.module_from_spec(spec)
        # Its dataclasses look up their own module.
        sys.modules[spec.name] = module
        with pytest.MonkeyPatch.context() as patch:
            # A script finds those beside it.
            patch.syspath_prepend(str(recipes_folder()))
            spec.loader.exec_module(module)
        return module

    return load
