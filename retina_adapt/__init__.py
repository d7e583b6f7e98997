"""Parameter-efficient fine-tuning for retinal image enhancement."""

__version__ = "0.1.0"
