"""From checkpoints to bundles, one module for each family."""
