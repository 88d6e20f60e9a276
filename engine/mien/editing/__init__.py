"""Editing: a face inverted into a generator's latent, moved along directions, and laid back into its photograph."""
