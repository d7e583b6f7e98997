"""The residual adaptor: a branch on the block's output, zero at the start."""
