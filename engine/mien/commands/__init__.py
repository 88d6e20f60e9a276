"""What the commands of `mien` do; `mien.cli` only reads their arguments."""
