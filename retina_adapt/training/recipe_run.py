"""How a recipe starts and ends: from the command line to its `main`, and from an error to one line."""

import errno
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

from torch.distributed.elastic.multiprocessing.errors import record

from retina_adapt.configuration import parse_configuration
from retina_adapt.errors import RetinaAdaptError, in_one_line, ran_out_of_memory

Configuration = TypeVar("Configuration")


def run_recipe(
    main: Callable[[Configuration], None], configuration_class: type[Configuration], *, description: str
) -> None:
    """Parse the command line and run `main`; an error that the user can mend becomes one line and exit status 1.

    With several processes, the launcher shows the error of the one that failed first and ends the others.
    """
    try:
        # `record` tells the launcher what failed and when.
        record(main)(parse_configuration(configuration_class, description=description))
    except KeyboardInterrupt:
        print("stopped; the same command resumes a training from its newest checkpoint", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except (MemoryError, RuntimeError) as error:
        if not ran_out_of_memory(error):
            raise
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        sys.exit(
            f"error: not enough memory ({reason}); close other programs, or choose what needs less, such as a lower "
            "batch_size, fewer workers, or gradient_checkpointing; existing checkpoints are whole"
        )
    except RetinaAdaptError as error:
        sys.exit(in_one_line(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(in_one_line(error))
        sys.exit(
            f"error: {error.filename or 'output_folder'}: no space is left ({error.strerror}); existing "
            "checkpoints are whole: make room, then run again"
        )
