"""One file per network family, each with the paper or source it follows and the key names of its checkpoints."""
