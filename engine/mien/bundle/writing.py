"""Writing a bundle, whole or not at all; used by the exporter."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mien.bundle.arrays import write_arrays
from mien.bundle.manifest import ArraysSpec, Manifest
from mien.bundle.members import check_name
from mien.bundle.reading import MANIFEST, Bundle
from mien.errors import BundleInvalid, OutputError
from mien.files import output_error

ARRAYS = "arrays.safetensors"


def write_bundle(
    path: str | PathLike[str],
    manifest: Manifest,
    models: Mapping[str, bytes],
    arrays: Mapping[str, NDArray[Any]] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Writes a folder, or a zip where ``path`` ends in .zip, and opens it again with every check.

    ``models`` are ONNX files by role, one for each network of the manifest; sizes and hashes of the manifest are filled
    in here. Raises OutputError where there is something already and ``overwrite`` is not set, DiskFull, BundleInvalid
    for a manifest that could not be read again.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    files = _files(manifest, models, arrays or {})
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        try:
            (_write_zip if path.suffix == ".zip" else _write_folder)(part, files)
            Bundle.open(part).verify()
            _move(part, path)
        finally:
            _remove(part)
    except OSError as error:
        raise output_error(path, error) from error
    return Bundle.open(path)


def refuse_existing(path: str | PathLike[str], overwrite: bool) -> None:
    """Raises OutputError where `write_bundle` would, for those who work long before they write."""
    if Path(path).exists() and not overwrite:
        raise OutputError(f"There is something at {path} already. Remove it, or ask for it to be overwritten.")


def _files(manifest: Manifest, models: Mapping[str, bytes], arrays: Mapping[str, NDArray[Any]]) -> dict[str, bytes]:
    """All files of the bundle by name, the manifest with their sizes and hashes among them."""
    if set(models) != set(manifest.networks):
        raise BundleInvalid(f"The manifest has the networks {list(manifest.networks)}; got {list(models)}.")
    files = {spec.file: models[role] for role, spec in manifest.networks.items()}
    networks = {
        role: replace(spec, role=role, sha256=_sha256(models[role]), bytes=len(models[role]))
        for role, spec in manifest.networks.items()
    }
    manifest = replace(manifest, networks=networks, arrays=None)
    if arrays:
        data = write_arrays(arrays)
        files[ARRAYS] = data
        manifest = replace(manifest, arrays=ArraysSpec(ARRAYS, _sha256(data), len(data)))
    if len(files) < len(models) + bool(arrays) or MANIFEST in files:
        raise BundleInvalid(f"Every network needs a file of its own; got {[s.file for s in networks.values()]}.")
    files[MANIFEST] = manifest.to_json()
    for name in files:
        check_name(name)
    return files


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            # A fixed date: the same bundle gives the same file.
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def _move(part: Path, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
        os.replace(path, old)
        os.replace(part, path)
        _remove(old)
    else:
        os.replace(part, path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
