"""Configuration, layer and tuner shared by the kinds that have a network of their own at each hook point."""
