"""Makes a bundle of the public sizes with random weights, for benchmarks whose time does not depend on the weights.

    python -m benchmarks.full_size liveportrait|fomm|lia|tpsmm|edit FOLDER

The checkpoints are those of the tests: laid out as published, exported by `mien export`, and removed again. "edit" is
StyleGAN2 with 1024 pixels, pSp's encoder and the mask's networks; its export takes 12 GB of memory and minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FAMILIES = ("liveportrait", "fomm", "lia", "tpsmm", "edit")


def checkpoints(family: str, folder: Path) -> list[str]:
    """Writes them; what `mien export FAMILY` takes for them."""
    if family == "edit":
        edit: Any = import_module("tests.export.test_edit_full_size")
        return list(edit.write_checkpoints(folder))
    reenact: Any = import_module("tests.export.test_reenact_full_size")
    return list(map(str, reenact.write_checkpoints(family, folder)))


def main() -> None:
    """Runs the export of the command line; its exit code is the export's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder.parent) as scratch:
        given = checkpoints(options.family, Path(scratch))
        command = [sys.executable, "-m", "mien.cli", "export", options.family, *given, "-o", str(options.folder)]
        sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
