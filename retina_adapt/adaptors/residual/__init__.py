"""The residual enhancement adaptor: config, branch, layer, tuner."""
