"""The figures of one result against its original, and a folder that remembers them by all that they depend on."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.perceptual import Inception, Lpips
from benchmarks.sheets import scaled
from mien.errors import ImageError
from mien.files import output_error, write_atomic
from mien.geometry import Similarity
from mien.image import Image, crop, to_tensor
from mien.sessions import Session

SEEN = 256
"""Side of the pictures that the identity network looks at."""
CELL = 160
"""Side of a picture on the contact sheet."""

NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Score:
    """One result of one picture; NaN is what was not measured. Pictures count as [0, 1]."""

    mae: float
    """Mean absolute difference over all pixels and colours of the aligned crop."""
    mae_outside: float
    """The same where the mask is 0."""
    changed: float
    """Share of the pixels where the mask is 0 that are not the original's."""
    masked: float
    """Share of the crop's pixels where the mask is not 0."""
    lpips: float
    identity: float
    """Dot product of the two embeddings: 1 is the same face."""
    milliseconds: float
    features: NDArray[np.float32]
    """(2048,) of the result, for FID; (0,) where it was not measured."""
    cell: Image
    """(2 CELL, CELL, 3): the result above its mask; empty where it is not drawn."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One result. ``image``: uint8 (R, R, 3) RGB; ``mask``: (R, R), 0 where nothing may have changed."""

    image: Image
    mask: Image | None = None
    milliseconds: float = NAN


@dataclass(frozen=True)
class Judges:
    """What looks at pictures beyond their pixels; None is left out. ``hashes``: of their weights."""

    lpips: Callable[[Image, Image], float] | None = None
    inception: Callable[[Image], NDArray[np.float32]] | None = None
    identity: Session | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def opened(lpips: Path | None, inception: Path | None, identity: tuple[Session, str] | None) -> Judges:
        """With these weights, and an identity network with its hash. Raises typer.BadParameter."""
        return Judges(
            Lpips(lpips) if lpips else None,
            Inception(inception) if inception else None,
            identity[0] if identity else None,
            {name: file_hash(path) for name, path in (("lpips", lpips), ("inception", inception)) if path}
            | ({"identity": identity[1]} if identity else {}),
        )


class Comparison:
    """All results of one picture are held against its original here."""

    def __init__(self, judges: Judges, original: Image) -> None:
        """``original``: uint8 (R, R, 3) RGB, the aligned crop."""
        self._judges = judges
        self._original = original

    def score(self, shown: Shown, drawn: bool) -> Score:
        """``drawn``: keep a small copy for the contact sheet."""
        judges, original = self._judges, self._original
        apart = np.abs(original.astype(np.int16) - shown.image)
        mask = np.ones(apart.shape[:2], np.uint8) if shown.mask is None else shown.mask
        outside = apart[mask == 0]
        return Score(
            mae=float(apart.mean() / 255),
            mae_outside=float(outside.mean() / 255) if outside.size else NAN,
            changed=float(outside.any(1).mean()) if outside.size else NAN,
            masked=NAN if shown.mask is None else float((mask > 0).mean()),
            lpips=judges.lpips(original, shown.image) if judges.lpips else NAN,
            identity=float(self._embedding @ embed(judges.identity, shown.image)) if judges.identity else NAN,
            milliseconds=shown.milliseconds,
            features=judges.inception(shown.image) if judges.inception else np.zeros(0, np.float32),
            cell=cell(shown) if drawn else np.zeros((0, CELL, 3), np.uint8),
        )

    @cached_property
    def _embedding(self) -> NDArray[np.float32]:
        assert self._judges.identity is not None
        return embed(self._judges.identity, self._original)


def embed(network: Session, image: Image) -> NDArray[np.float32]:
    """(512,), of length 1: the identity of an aligned face, uint8 (S, S, 3) RGB."""
    side = len(image)
    seen = crop(image, Similarity.from_crop((side / 2, side / 2), side, SEEN), SEEN)
    embedding: NDArray[np.float32] = network.run({"image": to_tensor(seen)})["embedding"][0]
    return embedding


def cell(shown: Shown) -> Image:
    """The result above its mask, for the contact sheet."""
    below = np.zeros_like(shown.image) if shown.mask is None else cv2.cvtColor(shown.mask, cv2.COLOR_GRAY2RGB)
    return np.vstack([scaled(shown.image, CELL), scaled(np.asarray(below, np.uint8), CELL)])


class Memory:
    """Scores in a folder, a file each. A file that cannot be read counts as none."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises OutputError, DiskFull."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(folder, error) from error
        self._folder = folder

    def get(self, key: Mapping[str, object]) -> Score | None:
        """The score for a key of plain values, where it is known."""
        try:
            with np.load(self._place(key)) as arrays:
                known = {entry.name: arrays[entry.name] for entry in fields(Score)}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        found: dict[str, Any] = {name: value if value.ndim else float(value) for name, value in known.items()}
        return Score(**found)

    def put(self, key: Mapping[str, object], score: Score) -> None:
        """Raises OutputError, DiskFull."""
        data = io.BytesIO()
        np.savez(data, **asdict(score))
        write_atomic(self._place(key), data.getvalue())

    def _place(self, key: Mapping[str, object]) -> Path:
        return self._folder / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()}.npz"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's contents. Raises ImageError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"Cannot read {path}: {error.strerror}.") from error
