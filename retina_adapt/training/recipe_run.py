"""How a recipe starts and ends: from the command line to its `main`, and from an error to one line."""

import errno
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

from torch.distributed.elastic.multiprocessing.errors import record

from retina_adapt.configuration import parse_configuration
from retina_adapt.errors import RetinaAdaptError, in_one_line

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
    except RetinaAdaptError as error:
        sys.exit(in_one_line(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(in_one_line(error))
        sys.exit(
            f"error: {error.filename or 'output_folder'}: no space is left ({error.strerror}); existing "
            "checkpoints are whole: make room, then run again"
        )
