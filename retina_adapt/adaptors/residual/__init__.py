"""The residual adaptor: a branch on the block's output that starts at zero."""
