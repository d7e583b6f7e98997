"""What the verbs of `retina-adapt` do, as functions without a command line."""
