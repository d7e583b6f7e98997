"""The learning rate as a function of the step."""

import math

DECAYS = ("linear", "cosine")


def learning_rate_factor(step: int, *, steps: int, warmup_steps: int, decay: str) -> float:
    """Factor in [0, 1] on the peak learning rate: linear warm-up, then decay to zero one step after the last.

    Args:
        step: number of the step to take, from 0.
        steps: number of steps in all.
        warmup_steps: number of steps of the warm-up.
        decay: "linear" (Defazio et al. 2023, "When, why and how much? Adaptive learning rate scheduling by
            refinement") or "cosine", half a cosine (Loshchilov and Hutter 2017, "SGDR", without restarts).
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, steps - warmup_steps))
    return 0.5 * (1 + math.cos(math.pi * progress)) if decay == "cosine" else 1 - progress
