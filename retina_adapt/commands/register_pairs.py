"""`retina-adapt register-pairs`: register the low-quality photograph of each pair to the clear one."""

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from retina_adapt.atomic_files import write_folder_atomically
from retina_adapt.commands.batch import batch_progress, failure_message
from retina_adapt.commands.check_pairs import LARGEST_SHIFT
from retina_adapt.commands.photograph_list import require_new_folder
from retina_adapt.data import RegistrationError, pair_files, register_pair, require_two_folders
from retina_adapt.imaging import FieldOfViewShape, ImageWriteError, read_photograph, write_photograph


@dataclass
class RegisteredPairs:
    """What became of the pairs.

    Attributes:
        done: a line for each pair that was written, which begins with its name and says what was done.
        failures: a line for each pair that was not written, naming it.
    """

    done: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def register_pairs(
    low: Path, high: Path, output: Path, *, field_of_view: FieldOfViewShape, console: Console
) -> RegisteredPairs:
    """Write the registered pairs to `low` and `high` below the output as PNG, both photographs of a pair in one size.

    Raises:
        ImageReadError, PairingError: see `pair_files`.
        OutputFolderError: see `require_new_folder`.
        RegistrationError: the output cannot be written.
    """
    require_two_folders(low, high)
    require_new_folder(output, (low, high))
    pairs = pair_files(low, high)
    result = RegisteredPairs()
    try:
        with write_folder_atomically(output) as folder, batch_progress(console) as progress:
            for name, files in progress.track(pairs.items(), description="Registering"):
                try:
                    registered = register_pair(
                        *(read_photograph(file) for file in files),
                        low_name=str(files[0]),
                        high_name=str(files[1]),
                        field_of_view=field_of_view,
                    )
                    if registered.alignment.shift > LARGEST_SHIFT:
                        raise RegistrationError(
                            f"{files[0]}: was moved, but is still {registered.alignment.shift:.1%} of the eye's width "
                            "off; leave the pair out, or register it by hand"
                        )
                    result.done.append(
                        f"{name}: was turned by {registered.turn:.1f} degrees, {registered.scale:.3f} times as large; "
                        f"now {registered.alignment.shift:.2%} of the eye's width off"
                    )
                except Exception as error:
                    result.failures.append(failure_message(files[0], error))
                    continue
                for side, photograph in (("low", registered.low), ("high", registered.high)):
                    write_photograph(photograph, folder / side / f"{name}.png")
    except (OSError, ImageWriteError) as error:
        # A single photograph without its partner would make the whole folder useless.
        raise RegistrationError(
            f"{output}: pairs cannot be written there ({error}); give another folder, or make room"
        ) from error
    return result
