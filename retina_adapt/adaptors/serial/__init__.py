"""The serial adaptor, the paper's form: it acts on a block's residual, before the skip connection is added."""
