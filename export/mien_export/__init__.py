"""The exporter: turns trained networks into bundles that the runtime can verify and run."""
