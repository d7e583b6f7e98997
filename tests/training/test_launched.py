"""`accelerate launch` for real: two processes, with the configurations that ship with the recipes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from launching import run_program
from toy_training import trained

SCRIPT = Path(__file__).with_name("train_toy.py")
CONFIGURATIONS = Path(__file__).parents[2] / "recipes" / "configs" / "accelerate"


def launch(*arguments: str, configuration: str) -> subprocess.CompletedProcess[str]:
    file = str(CONFIGURATIONS / f"{configuration}.yaml")
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", file]
    # Any free port, for tests that run beside this one.
    launcher += ["--main_process_port", "0"]
    return run_program([*launcher, SCRIPT, *arguments], {"ACCELERATE_USE_CPU": "true"})


@pytest.mark.slow
@pytest.mark.parametrize(("configuration", "failing"), [("two_cpu_processes", 0), ("ddp", 1)])
def test_two_equal_one_with_twice_the_batch_and_an_error_of_one_ends_both_and_is_the_one_that_the_launcher_shows(
    configuration: str, failing: int, tmp_path: Path
) -> None:
    arguments = [f"--folder={tmp_path / 'two'}", "--batch_size=2", "--steps=12", "--processes=2"]
    failed = launch(*arguments, f"--failing={failing}", configuration=configuration)
    two = json.loads((tmp_path / "two" / "trained.json").read_text())
    for name, tensor in trained(tmp_path / "one", batch_size=4).items():
        # Summing gradients in another order costs the last bits.
        torch.testing.assert_close(torch.tensor(two[name]), tensor.flatten(), rtol=1e-4, atol=1e-6)
    assert failed.returncode == 1
    summary = failed.stderr[failed.stderr.index("Root Cause (first observed failure)") :]
    assert f"rank      : {failing} " in summary
    assert "eye_7.png: broken; remove it" in summary


@pytest.mark.parametrize("file", sorted(CONFIGURATIONS.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_configuration_of_the_launcher_holds_what_it_knows(file: Path) -> None:
    configuration = load_config_from_file(str(file))
    assert configuration.num_processes == 2
    arguments, *_ = _validate_launch_command(
        launch_command_parser().parse_args(["--config_file", str(file), "recipes/adapt.py"])
    )
    assert arguments.use_fsdp == (file.stem == "fsdp2")
    if arguments.use_fsdp:
        assert arguments.fsdp_version == 2
        assert arguments.fsdp_auto_wrap_policy == "NO_WRAP"
