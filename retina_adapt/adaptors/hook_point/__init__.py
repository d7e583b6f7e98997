"""What the kinds with a network of their own at each hook point have in common: configuration, layer and tuner."""
