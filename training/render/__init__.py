"""The studio renderer: synthetic people, drawn on the CPU, with the exact truth of every picture."""
