"""Edits the face of a photograph: inverts it, moves its latent, and changes only the pixels that the edit is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from mien.bundle import Bundle
from mien.editing import masks
from mien.editing.compose import fuse, paste, support
from mien.editing.directions import Direction
from mien.editing.encoder import Encoder
from mien.editing.generator import SEEN, Generator, Rendered
from mien.editing.latent import Floats, Latent
from mien.editing.networks import Networks
from mien.editing.plan import Plan, by_name, find_moves, make_plan, moved, require
from mien.editing.result import EditResult, Subject
from mien.editing.settings import read_settings
from mien.errors import EditError, ImageError
from mien.faces.alignment import aligned_crop, ffhq
from mien.faces.portrait import Find, PortraitFinder, choose
from mien.geometry import Similarity
from mien.image import Image, check_image, crop, load_image, to_tensor
from mien.runners import Runner, open_runner
from mien.sessions.base import SessionInfo
from mien.timing import Stopwatch


class Editor:
    """Edits faces with the networks of one bundle. Holds nothing of any picture; threads may share it.

    ``bundle``: a folder, a zip, or an open `Bundle` of the task "edit". ``directions``: more than the bundle brings.
    ``finder``: finds the faces of photographs; by default with the networks that mien brings, on the CPU whatever the
    device. ``noise_seed``: for bundles that leave the generator's noise open. ``device``: "cpu", "cuda", "cuda:N", or a
    `Runner` shared with others; on a GPU pictures and features stay there from network to network. Raises BundleError,
    DeviceError, MissingDependency, EditError.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        *,
        device: str | Runner = "cpu",
        backend: str = "ort",
        threads: int | None = None,
        directions: Sequence[Direction] = (),
        finder: Find | None = None,
        noise_seed: int = 0,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        settings = read_settings(self.bundle)
        self.resolution = settings.resolution
        self._layers = settings.layers
        self._directions = by_name((*settings.directions, *directions), settings.layers, settings.classes)
        self._networks = Networks(self.bundle, open_runner(device, threads, backend))
        self._runner = self._networks.runner
        mean = self.bundle.array("latent_mean")
        self._generator = Generator(self._networks, settings, mean, noise_seed)
        self._encoder = Encoder(self._networks, self._generator, settings.steps, mean, _average(self.bundle))
        self._finder, self._threads = finder, threads

    @property
    def attributes(self) -> tuple[str, ...]:
        """What can be edited."""
        return tuple(self._directions)

    @property
    def info(self) -> Mapping[str, SessionInfo]:
        """What runs where: one line for each network that was used so far."""
        return self._networks.info

    @cached_property
    def finder(self) -> Find:
        """What finds the faces of photographs; opened when the first one comes."""
        return self._finder or PortraitFinder(threads=self._threads)

    def invert(self, aligned: Image) -> Latent:
        """The latent of an aligned face, uint8 (S, S, 3) RGB of any size. Raises ImageError, SessionError."""
        check_image(aligned)
        return self._encoder(crop(aligned, _whole(aligned, SEEN), SEEN))

    def edit(self, latent: Latent, edits: Mapping[str, float]) -> Latent:
        """The latent, moved: every attribute adds strength x unit x direction. Raises EditError."""
        return moved(self._fitting(latent), find_moves(self._directions, edits))

    def render(self, latent: Latent) -> Image:
        """What the generator makes of it, uint8 (R, R, 3) RGB."""
        return self._runner.image(self._generator.render(self._fitting(latent)).image)

    def sample(self, seed: int, truncation: float = 0.7) -> Latent:
        """A random face; ``truncation`` 0 is the mean one, 1 is as varied as the training data. Raises EditError."""
        require(self._networks, ("mapping",), "A random face")
        return self._generator.sample(seed, truncation)

    def apply(
        self,
        image: Image | str | Path,
        edits: Mapping[str, float],
        *,
        method: str = "diffcam++",
        deghost: bool | None = None,
        face: int | Literal["largest"] = "largest",
        aligned: bool = False,
    ) -> EditResult:
        """Edit the face of a photograph: a file, or uint8 (H, W, 3) RGB of any size.

        ``edits``: strength by attribute; a strength of 0 is no edit, and without any the photograph stays as it is
        unless the method takes the whole crop. ``method``: how the mask is drawn, a name in `METHODS`. ``deghost``: run
        the fused crop through the bundle's artefact suppression, by default where there is one and the method looks for
        differences. That network draws the whole crop anew from 128 x 128 pixels; of it only what the mask touches is
        taken. ``face``: which one, counted from the most prominent. ``aligned``: the picture is an aligned crop.

        Raises EditError before anything is run; ImageError, NoFace, InputError, SessionError.
        """
        plan = self._plan(edits, method, deghost)
        watch = Stopwatch()
        subject = self._read(image, face, aligned, watch)
        return self._alter(subject, plan, None, watch)

    def prepare(
        self, image: Image | str | Path, *, face: int | Literal["largest"] = "largest", aligned: bool = False
    ) -> Subject:
        """All of `apply` that does not depend on the edit, for a film of many strengths; arguments as there."""
        found = self._read(image, face, aligned, Stopwatch())
        labels = masks.parse(self._networks, to_tensor(found.aligned)) if "parsing" in self._networks else None
        inverted = self._generator.render(found.latent)
        return Subject(found.photo, found.aligned, found.place, found.latent, inverted, labels)

    def alter(
        self,
        subject: Subject,
        edits: Mapping[str, float],
        *,
        method: str = "diffcam++",
        deghost: bool | None = None,
        mask: Floats | None = None,
    ) -> EditResult:
        """`apply` for a prepared face. ``mask``: (R, R) in [0, 1], taken instead of drawing one by the method.

        A film that holds the `mask` of its strongest edit does not flicker. Raises EditError, SessionError.
        """
        return self._alter(subject, self._plan(edits, method, deghost), mask, Stopwatch())

    def mask(self, subject: Subject, edits: Mapping[str, float], *, method: str = "diffcam++") -> Floats:
        """(R, R) float32 in [0, 1]: how much of each pixel of the crop an edit may change. Raises EditError."""
        plan = self._plan(edits, method, False)
        inverted, edited = self._synthesise(subject, moved(subject.latent, plan.moves))
        return self._mask(subject, plan, inverted, edited)

    def _alter(self, subject: Subject, plan: Plan, mask: Floats | None, watch: Stopwatch) -> EditResult:
        with watch("synthesise"):  # I' = G(w) and T = G(w + alpha n)
            inverted, edited = self._synthesise(subject, moved(subject.latent, plan.moves))
            drawn = self._runner.image(edited.image)
        with watch("mask"):
            chosen = self._mask(subject, plan, inverted, edited) if mask is None else self._checked(mask)
        patch, weight = drawn, chosen
        if plan.deghost and chosen.any():
            with watch("deghost"):  # F = T M + I (1 - M), its seams repaired
                fused = fuse(self._runner.host(edited.image), to_tensor(subject.aligned), chosen)
                clean = self._networks.run("deghost", {"fused": fused})["clean"]
                patch, weight = self._runner.image(clean), support(chosen)
        with watch("paste"):  # T M + I (1 - M) again, with the photograph itself as I
            image, changed = paste(subject.photo, patch, weight, subject.place)
        return EditResult(
            image, changed, self._runner.image(inverted.image), drawn, subject.aligned, subject.latent, subject.place,
            watch.last(),
        )  # fmt: skip

    def _plan(self, edits: Mapping[str, float], method: str, deghost: bool | None) -> Plan:
        return make_plan(self._directions, self._networks, edits, method, deghost)

    def _read(self, image: Image | str | Path, face: int | str, aligned: bool, watch: Stopwatch) -> Subject:
        photo = load_image(image) if isinstance(image, (str, Path)) else image
        check_image(photo)
        with watch("align"):
            if aligned:
                place = _whole(photo, self.resolution)
                found = crop(photo, place, self.resolution)
            else:
                place = ffhq(choose(self.finder(photo), face, photo).landmarks, self.resolution)
                found = aligned_crop(photo, place, self.resolution)
        with watch("invert"):
            return Subject(photo, found, place, self.invert(found))

    def _synthesise(self, subject: Subject, edited: Latent) -> tuple[Rendered, Rendered]:
        if subject.inverted is None:
            return self._generator.pair(subject.latent, edited)
        return subject.inverted, self._generator.vary(subject.inverted, edited)

    def _mask(self, subject: Subject, plan: Plan, inverted: Rendered, edited: Rendered) -> Floats:
        original = to_tensor(subject.aligned)
        return masks.draw(
            self._networks, plan.method, plan.directions, original, subject.labels, inverted, edited
        )  # fmt: skip

    def _fitting(self, latent: Latent) -> Latent:
        if len(latent.codes) != self._layers:
            raise EditError(f"The latent has {len(latent.codes)} rows; this bundle's generator has {self._layers}.")
        return latent

    def _checked(self, mask: Floats) -> Floats:
        side = self.resolution
        if mask.shape != (side, side) or not np.isfinite(mask).all():
            raise EditError(f"A mask is ({side}, {side}) with finite numbers from 0 to 1; got shape {mask.shape}.")
        return np.clip(mask, 0, 1).astype(np.float32)


def _whole(image: Image, size: int) -> Similarity:
    """The place of a picture that is an aligned crop as it is. Raises ImageError unless it is square."""
    height, width = image.shape[:2]
    if height != width:
        raise ImageError(f"An aligned face is a square picture; this one is {width} x {height}. Let mien align it.")
    return Similarity.from_crop((width / 2, width / 2), width, size)


def _average(bundle: Bundle) -> Floats | None:
    """The generator's mean picture, where the encoder is one that compares (ReStyle)."""
    compares = any(info.name == "current" for info in bundle.network("encoder").inputs)
    return bundle.array("average_image") if compares else None
