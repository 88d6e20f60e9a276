"""What is traced: one named module for each network of a bundle, pre- and postprocessing inside, constants folded."""
