"""The choices of `enhance`, written anew there so that `--help` need not import PyTorch, are the package's."""

from typing import Any, get_type_hints

import pytest

from retina_adapt.cli import enhance
from retina_adapt.enhancement import Detail, EnhancementMode
from retina_adapt.enhancement.settings import Precision


@pytest.mark.parametrize(
    ("option", "choices"), [("mode", EnhancementMode), ("detail", Detail), ("precision", Precision)]
)
def test_the_command_line_offers_what_the_package_takes(option: str, choices: Any) -> None:
    assert get_type_hints(enhance)[option] == choices
