"""The learning rate as a function of the step."""

import math


def learning_rate_factor(step: int, *, steps: int, warmup_steps: int) -> float:
    """Factor in [0, 1] on the peak learning rate: linear warm-up, then half a cosine down to zero.

    Cosine: Loshchilov and Hutter 2017, "SGDR", without restarts.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
