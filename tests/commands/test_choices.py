"""The choices of the command line, written anew there so that `--help` need not import PyTorch, are the package's."""

from enum import StrEnum
from typing import Any, get_args

import pytest

from retina_adapt.cli import DetailChoice, Mode, PrecisionChoice
from retina_adapt.cli_shared import FieldOfViewChoice
from retina_adapt.enhancement import Detail, EnhancementMode
from retina_adapt.enhancement.settings import Precision
from retina_adapt.imaging import FieldOfViewShape


@pytest.mark.parametrize(
    ("choices", "values"),
    [
        (Mode, EnhancementMode),
        (DetailChoice, Detail),
        (PrecisionChoice, Precision),
        (FieldOfViewChoice, FieldOfViewShape),
    ],
)
def test_the_command_line_offers_what_the_package_takes(choices: type[StrEnum], values: Any) -> None:
    assert [choice.value for choice in choices] == list(get_args(values))
