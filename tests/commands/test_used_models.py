"""What identifies the models of a run."""

from pathlib import Path

import pytest

from retina_adapt.commands.used_models import request_identity
from retina_adapt.embedded import router_folder
from retina_adapt.report import ModelIdentity


@pytest.mark.parametrize("names", [("foo", "haze"), ("light", "foo"), ("haze", "light")])
def test_the_routers_choice_rests_on_which_adaptor_has_which_name(names: tuple[str, str]) -> None:
    """An adaptor that got the name by which the router asks for it gives other results than before."""

    def identity(one: str, other: str) -> str:
        models = {one: ModelIdentity("adaptor", one, "a" * 64), other: ModelIdentity("adaptor", other, "b" * 64)}
        return request_identity("auto", models, router_folder())

    assert identity("light", "haze") == identity("light", "haze")
    assert identity(*names) != identity("light", "haze")


def test_an_adaptor_asked_for_by_name_is_known_by_its_files_alone() -> None:
    models = {"light": ModelIdentity("adaptor", "light", "a" * 64)}
    assert request_identity("light", models, Path("nowhere")) == "a" * 64
