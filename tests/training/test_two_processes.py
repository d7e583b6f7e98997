"""Two processes over gloo: what they train, log, gather and refuse."""

import copy
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from toy_adaptors import METADATA
from toy_training import ToyStep, toy_settings, train_toy, trained
from two_processes import on_two_processes

from retina_adapt.adaptors import (
    AdaptorSettings,
    FrozenBackboneGuard,
    attach_adaptor,
    save_adaptor,
    train_only,
)
from retina_adapt.backbones import ReconstructionBackbone
from retina_adapt.objectives import AdversarialSettings, AdversarialTerm, absolute_error
from retina_adapt.sole_use import FolderInUseError
from retina_adapt.training import (
    CheckpointError,
    NoScoresError,
    TrackingSettings,
    TrainingDivergedError,
    TrainingStopped,
    UnsupportedStrategyError,
    UnusedParameterError,
    Validation,
    mean_scores,
    start_run,
)


def shard(accelerator: Accelerator) -> None:
    """Let the accelerator use FSDP2, which Accelerate itself offers on GPUs only; torch's works over gloo too."""
    os.environ["ACCELERATE_USE_FSDP"] = "true"
    accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=2)
    # Every new `AcceleratorState` takes the type from here.
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    accelerator.state.distributed_type = DistributedType.FSDP
    assert accelerator.is_fsdp2


def logged(folder: Path) -> dict[str, list[float]]:
    """Every scalar that TensorBoard shows, by tag, from the only event file below `folder`."""
    (path,) = folder.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(path)).Reload()
    return {tag: [event.value for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def logged_training(accelerator: Accelerator, folder: Path, *, batch_size: int, accumulation: int = 1) -> None:
    settings = toy_settings(batch_size=batch_size, gradient_accumulation=accumulation, log_every=1)
    start_run(accelerator, settings, folder, TrackingSettings())
    train_toy(ToyStep(), folder, settings, accelerator=accelerator)
    accelerator.end_training()


@pytest.mark.parametrize("accumulation", [1, 2])
def test_they_log_the_losses_of_one_process_with_all_of_the_batch(accumulation: int, tmp_path: Path) -> None:
    one = Accelerator(cpu=True, log_with="tensorboard", project_dir=tmp_path / "one")
    logged_training(one, tmp_path / "one", batch_size=4 * accumulation)
    on_two_processes(
        lambda two: logged_training(two, tmp_path / "two", batch_size=2, accumulation=accumulation), tmp_path / "two"
    )
    expected, found = logged(tmp_path / "one"), logged(tmp_path / "two")
    assert len(expected["toy/loss"]) == 12
    for tag in ("toy/loss", "toy/gradient_norm", "toy/learning_rate"):
        # Summing gradients in another order costs the last bits.
        assert found[tag] == pytest.approx(expected[tag], rel=1e-4)


def test_a_resumed_run_gives_the_same_bits_averaged_ones_too(tmp_path: Path) -> None:
    settings = toy_settings(moving_average_decay=0.9)

    def compare(accelerator: Accelerator) -> None:
        whole, cut, resumed = ToyStep(), ToyStep(), ToyStep()
        for step, folder, batches in ((whole, "whole", None), (cut, "parts", 7), (resumed, "parts", None)):
            train_toy(step, tmp_path / folder, settings, batches=batches, accelerator=accelerator)
        for (name, tensor), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
            assert torch.equal(tensor, other), name

    on_two_processes(compare, tmp_path)


def test_scores_are_means_over_all_items_though_one_process_has_more(tmp_path: Path) -> None:
    def validate(accelerator: Accelerator) -> Validation:
        scores = [{"psnr": 10.0}, {"psnr": 20.0}] if accelerator.is_main_process else [{"psnr": 60.0}]
        return Validation(mean_scores(accelerator, scores))

    def check(accelerator: Accelerator) -> None:
        validation = train_toy(
            ToyStep(), tmp_path, toy_settings(), accelerator=accelerator, validate=lambda: validate(accelerator)
        )
        assert validation.scores == {"psnr": 30.0}

    on_two_processes(check, tmp_path)


class AdversarialStep(nn.Module):
    """A convolution that shall return its input, judged by a discriminator from the fourth step on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 3, 3, padding=1)
        self.adversarial = AdversarialTerm(AdversarialSettings(weight=1, start_step=3, base_channels=8, layers=2), 3)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        images = batch["x"][:, :, None, None].expand(-1, -1, 12, 12)
        reconstructed = self.layer(images)
        absolute = absolute_error(reconstructed, images)
        terms = self.adversarial(reconstructed, images, absolute, self.layer.weight, batch["step"])
        assert (terms["generator"] != 0) == (batch["step"] >= 3)
        return {"loss": absolute + terms["generator"] + terms["discriminator"], "absolute_error": absolute, **terms}


def test_an_adversarial_term_that_sets_in_later_keeps_them_alike(tmp_path: Path) -> None:
    def check(accelerator: Accelerator) -> None:
        step = AdversarialStep()
        before = [parameter.detach().clone() for parameter in step.parameters()]
        settings = toy_settings(steps=6, gradient_accumulation=2)
        train_toy(step, tmp_path, settings, accelerator=accelerator, watched_loss="absolute_error")
        for start, parameter in zip(before, step.parameters(), strict=True):
            assert not torch.equal(parameter, start)
            one, other = accelerator.gather(parameter.detach()[None])
            assert torch.equal(one, other)

    on_two_processes(check, tmp_path)


@pytest.mark.parametrize("with_scores", [0, 1])
def test_a_process_may_have_nothing_to_validate(with_scores: int, tmp_path: Path) -> None:
    def check(accelerator: Accelerator) -> None:
        scores = [{"psnr": 10.0}, {"psnr": 20.0}] if accelerator.process_index == with_scores else []
        assert mean_scores(accelerator, scores) == {"psnr": 15.0}
        with pytest.raises(NoScoresError):
            mean_scores(accelerator, [])

    on_two_processes(check, tmp_path)


class RisingOnOne(ToyStep):
    """From the 56th step on, the second process's loss is a thousand times the first one's."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__()
        self.rises = not accelerator.is_main_process

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        losses = super().forward(batch)
        factor = 1000.0 if self.rises and batch["step"] >= 55 else 1.0
        return {**losses, "watched": factor * (losses["loss"].detach() + 1)}


def test_a_rise_on_one_process_ends_both(tmp_path: Path) -> None:
    def check(accelerator: Accelerator) -> None:
        with pytest.raises(TrainingDivergedError, match=r"step 56 .*'watched'"):
            train_toy(
                RisingOnOne(accelerator),
                tmp_path,
                toy_settings(steps=60, warmup_steps=0),
                accelerator=accelerator,
                watched_loss="watched",
            )

    on_two_processes(check, tmp_path)


class DivergingOnOne(ToyStep):
    """A loss that is not a number on the second process alone."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__(scale=1.0 if accelerator.is_main_process else float("nan"))


class HalfUsed(ToyStep):
    """A network with a layer that the loss does not depend on."""

    def __init__(self, _: Accelerator) -> None:
        super().__init__()
        self.idle = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("step_class", "error"), [(DivergingOnOne, TrainingDivergedError), (HalfUsed, UnusedParameterError)]
)
def test_both_processes_end_with_the_same_error(
    step_class: type[ToyStep], error: type[Exception], tmp_path: Path
) -> None:
    def check(accelerator: Accelerator) -> None:
        with pytest.raises(error):
            train_toy(step_class(accelerator), tmp_path, toy_settings(), accelerator=accelerator)

    on_two_processes(check, tmp_path)


class Signalling(ToyStep):
    """The second process gets SIGTERM in its third step."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__()
        self.is_told = not accelerator.is_main_process

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.is_told and batch["step"] == 2:
            signal.raise_signal(signal.SIGTERM)
        return super().forward(batch)


def test_sigterm_on_one_process_stops_both_after_the_same_step(tmp_path: Path) -> None:
    def check(accelerator: Accelerator) -> None:
        with pytest.raises(TrainingStopped):
            train_toy(Signalling(accelerator), tmp_path, toy_settings(), accelerator=accelerator)

    on_two_processes(check, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints" / "toy").iterdir()] == ["step-00000003"]


def test_a_checkpoint_that_the_main_process_cannot_write_ends_both_with_its_error(tmp_path: Path) -> None:
    def check(accelerator: Accelerator) -> None:
        (tmp_path / "checkpoints").write_text("a file where a folder should be")
        accelerator.wait_for_everyone()
        with pytest.raises(CheckpointError, match="cannot be written"):
            train_toy(ToyStep(), tmp_path, toy_settings(), accelerator=accelerator)

    on_two_processes(check, tmp_path)


class Reconstruction(nn.Module):
    """A backbone that shall return its input."""

    def __init__(self, backbone: ReconstructionBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        images = batch["x"][:, :, None, None].expand(-1, -1, 32, 32)
        return {"loss": absolute_error(self.backbone.decode(self.backbone.encode(images)), images)}

    def validation(self) -> Validation:
        latent = self.backbone.encode(torch.ones(1, 3, 32, 32))
        return Validation({"latent": latent.mean().item()})


def test_where_another_run_of_the_training_is_at_work_both_end(tmp_path: Path) -> None:
    settings = toy_settings()

    def train_in_vain(accelerator: Accelerator) -> None:
        with pytest.raises(FolderInUseError, match=r"checkpoints/toy: another run is at work there.*output folder"):
            train_toy(ToyStep(), tmp_path, settings, accelerator=accelerator)

    def validate_while_another_run_begins() -> Validation:
        on_two_processes(train_in_vain, tmp_path / "other")
        return Validation({"score": 1.0})

    train_toy(ToyStep(), tmp_path, settings, validate=validate_while_another_run_begins)
    # The other run has changed nothing, and its end has left the folder to the next.
    assert train_toy(ToyStep(), tmp_path, toy_settings(steps=15)) is not None
    assert [path.name for path in sorted((tmp_path / "checkpoints" / "toy").glob("step-*"))][-1] == "step-00000015"


def test_sharded_training_equals_one_process_and_its_files_are_whole(tmp_path: Path) -> None:
    settings = toy_settings(batch_size=2, moving_average_decay=0.9, validate_every=4)
    whole = trained(tmp_path / "one", moving_average_decay=0.9)

    def check(accelerator: Accelerator) -> None:
        shard(accelerator)

        def validate() -> Validation:
            # A method beside `forward`, which FSDP2 knows nothing of.
            assert not any(isinstance(parameter, DTensor) for parameter in step.parameters())
            return Validation({"output": step.layers(torch.ones(1, 3)).item()})

        for batches in (7, None):
            step = ToyStep()
            train_toy(step, tmp_path / "two", settings, accelerator=accelerator, batches=batches, validate=validate)
        for name, tensor in step.named_parameters():
            assert not isinstance(tensor, DTensor)
            torch.testing.assert_close(tensor.detach(), whole[name], rtol=1e-4, atol=1e-6)
        # Another training of the same network, as the second stage of an adaptor.
        train_toy(step, tmp_path / "second", settings, accelerator=accelerator, validate=validate)

    on_two_processes(check, tmp_path)
    # The checkpoint serves one process as well.
    resumed = trained(tmp_path / "two", moving_average_decay=0.9, resume="always")
    for name, tensor in resumed.items():
        torch.testing.assert_close(tensor, whole[name], rtol=1e-4, atol=1e-6)


def test_sharded_training_in_bf16_gives_losses_and_validations_whole_numbers(tmp_path: Path) -> None:
    seen: list[tuple[torch.dtype, torch.dtype]] = []

    class Watched(ToyStep):
        def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            seen.append((batch["x"].dtype, self.layers(batch["x"]).dtype))
            return super().forward(batch)

    def check(accelerator: Accelerator) -> None:
        shard(accelerator)
        # As the launcher's `mixed_precision` has it.
        accelerator.state.fsdp_plugin.set_mixed_precision("bf16")
        step = Watched()
        train_toy(
            step,
            tmp_path,
            toy_settings(batch_size=2),
            accelerator=accelerator,
            validate=lambda: Validation({"output": step.layers(torch.ones(1, 3)).item()}),
        )
        assert set(seen) == {(torch.float32, torch.bfloat16)}

    on_two_processes(check, tmp_path, mixed_precision="bf16")


def test_machines_whose_folders_hold_different_checkpoints_are_told_to_share_one(tmp_path: Path) -> None:
    trained(tmp_path / "0", batches=7)

    def check(accelerator: Accelerator) -> None:
        folder = tmp_path / str(accelerator.process_index)
        with pytest.raises(CheckpointError, match="a disk that all machines share"):
            train_toy(ToyStep(), folder, toy_settings(batch_size=2), accelerator=accelerator)

    on_two_processes(check, tmp_path)


def test_a_checkpoint_that_one_of_them_cannot_read_ends_both_with_its_error(tmp_path: Path) -> None:
    trained(tmp_path / "0", batches=7)
    shutil.copytree(tmp_path / "0", tmp_path / "1")
    (damaged,) = (tmp_path / "1").rglob("training_state.safetensors")
    damaged.write_bytes(b"damaged")

    def check(accelerator: Accelerator) -> None:
        shard(accelerator)
        folder = tmp_path / str(accelerator.process_index)
        with pytest.raises(CheckpointError, match="cannot be read"):
            train_toy(ToyStep(), folder, toy_settings(batch_size=2), accelerator=accelerator)

    on_two_processes(check, tmp_path)


@pytest.mark.slow
def test_a_sharded_adaptor_is_saved_whole(toy_backbone: ReconstructionBackbone, tmp_path: Path) -> None:
    def adapt(accelerator: Accelerator, name: str, batch_size: int) -> Path:
        backbone = copy.deepcopy(toy_backbone)
        guard = FrozenBackboneGuard(backbone)
        torch.manual_seed(0)
        adapted = attach_adaptor(backbone, AdaptorSettings(context_channels=4).to_peft_config(), "adaptor")
        train_only(adapted, "adaptor", ["decoder"])
        settings = toy_settings(steps=3, batch_size=batch_size, learning_rate=1e-3)
        step = Reconstruction(backbone)
        train_toy(step, tmp_path / name, settings, accelerator=accelerator, validate=lambda: step.validation())
        guard.check()
        folder = tmp_path / name / "adaptor"
        if accelerator.is_main_process:
            save_adaptor(adapted, "adaptor", folder, METADATA)
        return folder / "adaptor_model.safetensors"

    one = adapt(Accelerator(cpu=True), "one", 4)

    def adapt_sharded(accelerator: Accelerator) -> None:
        shard(accelerator)
        adapt(accelerator, "two", 2)

    on_two_processes(adapt_sharded, tmp_path)
    expected, found = load_file(one), load_file(tmp_path / "two" / "adaptor" / one.name)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5)


def test_a_strategy_whose_state_no_checkpoint_can_hold_is_refused(tmp_path: Path) -> None:
    def check(accelerator: Accelerator) -> None:
        accelerator.state._shared_state["distributed_type"] = DistributedType.DEEPSPEED
        accelerator.state.distributed_type = DistributedType.DEEPSPEED
        with pytest.raises(UnsupportedStrategyError, match=r"DEEPSPEED.*fsdp2\.yaml"):
            train_toy(ToyStep(), tmp_path, toy_settings(), accelerator=accelerator)

    on_two_processes(check, tmp_path)


def test_the_first_version_of_fsdp_is_refused(tmp_path: Path) -> None:
    def check(accelerator: Accelerator) -> None:
        shard(accelerator)
        accelerator.state.fsdp_plugin = FullyShardedDataParallelPlugin(fsdp_version=1)
        with pytest.raises(UnsupportedStrategyError, match="fsdp_version: 2"):
            train_toy(ToyStep(), tmp_path, toy_settings(), accelerator=accelerator)

    on_two_processes(check, tmp_path)
