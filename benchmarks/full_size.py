"""Makes a bundle of the public sizes with random weights, for benchmarks whose time does not depend on the weights.

    python -m benchmarks.full_size liveportrait|fomm|lia|tpsmm|edit FOLDER [--half]

With --half the networks are float16, by mien's rules alone: what `mien export --precision fp16` further keeps in
float32 depends on the weights. The checkpoints are those of the tests: laid out as published, exported by `mien
export`, and removed again. "edit" is StyleGAN2 with 1024 pixels, pSp's encoder and the mask's networks; its export
takes 12 GB of memory and minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mien.bundle import Bundle
from mien.bundle.writing import write_bundle
from mien_export.precision import to_half

FAMILIES = ("liveportrait", "fomm", "lia", "tpsmm", "edit")


def checkpoints(family: str, folder: Path) -> list[str]:
    """Writes them; what `mien export FAMILY` takes for them."""
    if family == "edit":
        edit: Any = import_module("tests.export.test_edit_full_size")
        return list(edit.write_checkpoints(folder))
    reenact: Any = import_module("tests.export.test_reenact_full_size")
    return list(map(str, reenact.write_checkpoints(family, folder)))


def write_half(bundle: Bundle, folder: Path) -> Bundle:
    """The same bundle in float16."""
    models = {role: to_half(bundle.model(role)) for role in bundle.manifest.networks}
    networks = {role: replace(spec, precision="fp16") for role, spec in bundle.manifest.networks.items()}
    return write_bundle(folder, replace(bundle.manifest, networks=networks), models, bundle.arrays)


def main() -> None:
    """Runs the export of the command line; where it fails, its exit code is the export's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder.parent) as scratch:
        made = Path(scratch) / options.folder.name if options.half else options.folder
        given = checkpoints(options.family, Path(scratch))
        command = [sys.executable, "-m", "mien.cli", "export", options.family, *given, "-o", str(made)]
        code = subprocess.run(command, check=False).returncode
        if options.half and code == 0:
            write_half(Bundle.open(made), options.folder)
    sys.exit(code)


if __name__ == "__main__":
    main()
