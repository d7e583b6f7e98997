"""docs/scaling.md says what `recipes/benchmark.py scaling` computes, and its commands are ones that start."""

import importlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from retina_adapt.commands.recipes import recipes_folder

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scaling() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(recipes_folder()))
        yield importlib.import_module("benchmarks.scaling")


@pytest.fixture(scope="module")
def measurements(scaling: ModuleType) -> object:
    return scaling.Measurements(**json.loads((ROOT / "docs" / "results" / "scaling.json").read_text()))


def test_the_document_is_up_to_date(scaling: ModuleType, measurements: object, tmp_path: Path) -> None:
    document = ROOT / "docs" / "scaling.md"
    copy = tmp_path / "scaling.md"
    copy.write_text(document.read_text())
    write_marked_section = importlib.import_module("benchmarks._marked_section").write_marked_section
    write_marked_section(copy, "scaling", scaling.section(measurements, scaling.Assumptions()))
    assert copy.read_text() == document.read_text(), "run: python recipes/benchmark.py scaling --only_document true"


@pytest.mark.parametrize(("backbone", "stage"), [("nano", "autoencoder"), ("nano", "adaptor in the denoiser")])
def test_the_operations_are_those_of_the_shipped_configurations(
    scaling: ModuleType, measurements: object, backbone: str, stage: str
) -> None:
    measuring = importlib.import_module("benchmarks.scaling.measuring")
    step, size = measuring.meta_step(backbone, stage)
    # Another version of PyTorch may count an operation more or less.
    expected = pytest.approx(measurements.operations[backbone][stage], rel=0.01)
    assert measuring.count_operations(step, size) == expected
    assert sum(p.numel() for p in step.parameters()) == measurements.parameters[backbone][stage]


def test_a_gpu_of_half_the_speed_takes_twice_the_time_and_one_waits_for_the_cores_that_feed_it(
    scaling: ModuleType, measurements: object
) -> None:
    plan = importlib.import_module("benchmarks.scaling.plan")
    document = importlib.import_module("benchmarks.scaling.document")
    scale = next(scale for scale in plan.planned() if scale.photographs == 10_000)

    def hours(**assumed: float) -> float:
        return float(document.cost(scale, measurements, scaling.Assumptions(**assumed))[8].replace(",", ""))

    fed = {"cores_per_gpu": 10_000}
    assert hours(gpu_teraflops=0.2, **fed) == pytest.approx(2 * hours(gpu_teraflops=0.4, **fed), rel=0.05)
    assert hours(gpu_teraflops=1e6, cores_per_gpu=1) > 100 * hours(gpu_teraflops=1e6, **fed)


def test_the_commands_are_ones_that_the_launcher_and_the_recipes_take(
    scaling: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    plan = importlib.import_module("benchmarks.scaling.plan")
    for scale in plan.planned():
        for job in scale.jobs:
            assert all(steps > 0 for steps, _ in job.steps().values())
            command = " ".join(job.words(scale.gpus)).replace("$RANK", "0").replace("$HOST", "localhost")
            words = shlex.split(command)
            parsed = launch_command_parser().parse_args(words[words.index("launch") + 1 :])
            validated, *_ = _validate_launch_command(parsed)
            assert Path(parsed.training_script).is_file()
            assert validated.num_processes == max(1, scale.gpus)
