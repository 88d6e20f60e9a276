"""A chain on a GPU: one stream for its networks and kernels, memory that is used again, copies only where asked.

Executed with memory of the host in place of a GPU's, and never yet on a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as Names
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import RLock
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from mien.bundle import Bundle
from mien.errors import DeviceError, ImageError
from mien.geometry import Similarity
from mien.image import LEAST_SIDE, Image, check_image
from mien.kernels import device as kernels
from mien.runners.base import Outside
from mien.runners.memory import DeviceMemory
from mien.sessions import Session
from mien.sessions.base import Array
from mien.sessions.cuda import Cuda
from mien.sessions.device_tensor import DeviceTensor, on_gpu

MOST_CONSTANTS = 16
"""Arrays that stay here because they never change; the one that was longest unused goes when there are more."""


class DeviceSession(Session, Protocol):
    """A network that runs on addresses, in a stream that it was given."""

    def run_device(
        self, feeds: Mapping[str, DeviceTensor], out: Mapping[str, DeviceTensor] | None = None
    ) -> dict[str, DeviceTensor]:
        """Queues the network; outputs not named in ``out`` lie where the session likes, until its next run."""


@dataclass(frozen=True)
class Shown(DeviceTensor):
    """A picture that was brought here, and the host's that it is."""

    original: Image | None = None


class CudaRunner:
    """See `Runner`. After the first frames of a size nothing is allocated: what nobody holds is used again.

    Pictures and tensors that it gives are `DeviceTensor`, filled in the order of ``stream``: whoever reads them in
    another order calls `finish` first, and holds them until that is done. Threads may share it; they take turns.
    """

    def __init__(self, cuda: Cuda, threads: int | None = None, backend: str = "ort") -> None:
        self.device = f"cuda:{cuda.ordinal}"
        self.stream = cuda.stream()
        self._threads, self._backend = threads, backend
        self._memory = DeviceMemory(cuda, self.stream)
        # Held while something is queued: what another thread queues meanwhile would end up in a captured graph.
        self._turn = RLock()
        self._constants: dict[int, tuple[Array, DeviceTensor]] = {}

    def open(self, bundle: Bundle, role: str) -> Session:
        """See `Runner.open`."""
        return bundle.session(role, self.device, self._threads, self._backend, self.stream)

    def take(self, picture: object) -> DeviceTensor:
        """See `Runner.take`."""
        if isinstance(picture, np.ndarray) or not on_gpu(picture):
            check_image(picture)
            image = cast(Image, picture)
            with self._turn:
                sent = self._memory.send("frame", {"": image})[""]
            return Shown(sent.pointer, sent.dtype, sent.shape, sent.owner, image, device=sent.device, queue=sent.queue)
        there = picture if isinstance(picture, DeviceTensor) else DeviceTensor.of(picture, self.device, self.stream)
        if there.device != self.device:
            raise DeviceError(
                f"A picture on {there.device} was given, but this chain runs on {self.device}. Copy it there."
            )
        if there.queue is not None and there.queue is not self.stream:
            there.queue.synchronize()
        _check(there)
        return there

    def own(self, picture: object) -> DeviceTensor:
        """See `Runner.own`."""
        there = self.take(picture)
        if isinstance(there, Shown) and there.original is picture:  # in a room of its own already
            return DeviceTensor(
                there.pointer, there.dtype, there.shape, there.owner, device=there.device, queue=there.queue
            )
        with self._turn:
            return self._memory.copied("picture", there)

    def host(self, array: DeviceTensor) -> Array:
        """See `Runner.host`."""
        if isinstance(array, Shown) and array.original is not None:
            return array.original
        with self._turn:
            return self._memory.receive("array", {"": array})[""]

    def image(self, tensor: DeviceTensor) -> Image:
        """See `Runner.image`."""
        height, width = tensor.shape[2:]
        with self._turn:
            ground, whole = (self._constant(array) for array in _canvas(height, width))
            out = self._memory.room("picture", "uint8", (height, width, 3))
            kernels.blend_faces(out, ground, tensor, whole, np.eye(2, 3), stream=self.stream.handle)
            return self._memory.receive("array", {"": out})[""]

    def split(self, tensor: DeviceTensor) -> list[DeviceTensor]:
        """See `Runner.split`."""
        return [replace(tensor[i], shape=(1, *tensor.shape[1:])) for i in range(tensor.shape[0])]

    def join(self, tensors: Sequence[DeviceTensor]) -> DeviceTensor:
        """See `Runner.join`."""
        first = tensors[0]
        with self._turn:
            shape = (sum(tensor.shape[0] for tensor in tensors), *first.shape[1:])
            joined = self._memory.room("joined", first.dtype, shape)
            at = joined.pointer
            for tensor in tensors:
                self.stream.copy(at, tensor.pointer, tensor.bytes)
                at += tensor.bytes
        return joined

    def keep(self, array: Array) -> DeviceTensor:
        """See `Runner.keep`."""
        with self._turn:
            return self._memory.send("kept", {"": array})[""]

    def crop(
        self, picture: DeviceTensor, similarities: ArrayLike, size: int, outside: Outside = "edge"
    ) -> DeviceTensor:
        """See `Runner.crop`."""
        with self._turn:
            there = self.take(picture)
            room = self._memory.room("crop", "float32", (np.size(similarities) // 6, 3, size, size))
            black = outside == "black"
            kernels.crop(room, there, similarities, stream=self.stream.handle, black=black)
        return room

    def run(self, session: Session, feeds: Mapping[str, Any], read: Names[str] = frozenset()) -> dict[str, Any]:
        """See `Runner.run`."""
        if not hasattr(session, "run_device"):
            raise DeviceError(
                f"A network that is run by {session.info.backend} on {session.info.device} has no place in a chain on "
                f"{self.device}: it cannot take addresses there."
            )
        network = cast(DeviceSession, session)
        use = id(session)
        with self._turn:
            given = self._fed(network, feeds)
            known = _known(network, given)
            small = self._memory.rooms(("read", use), {name: known[name] for name in read if name in known})
            large = {name: self._memory.room((name, use), *known[name]) for name in known.keys() - read}
            results = network.run_device(given, {**small, **large})
            for name in results.keys() - known.keys():  # of a size that only the run tells, in memory of the session's
                large[name] = self._memory.copied((name, use), results[name])
            arrays = self._memory.receive(("read", use), small) if small else {}
            for name in read & large.keys():
                arrays |= self._memory.receive((name, use), {name: large.pop(name)})
        return {**large, **arrays}

    def answer(self, session: Session, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """See `Runner.answer`."""
        return self.run(session, feeds, {spec.name for spec in session.outputs})

    def warp_blend(
        self,
        source: DeviceTensor,
        flow: DeviceTensor,
        visible: DeviceTensor,
        paint: DeviceTensor,
        mask: DeviceTensor,
        similarity: ArrayLike,
        shade: DeviceTensor | None = None,
    ) -> DeviceTensor:
        """See `Runner.warp_blend`."""
        with self._turn:
            out = self._memory.room("picture", source.dtype, source.shape)
            maps = (flow, visible, paint, mask)
            kernels.warp_blend(out, source, *maps, similarity, stream=self.stream.handle, shade=shade)
        return out

    def blend(
        self, picture: DeviceTensor, patch: DeviceTensor, mask: Array, place: Similarity, side: int | None = None
    ) -> DeviceTensor:
        """See `Runner.blend`."""
        height, width = mask.shape
        with self._turn:
            stream, fitted = self.stream.handle, patch
            own = patch.shape[-1]
            if (side or own) != own or patch.shape[2:] != mask.shape:
                fitted = self._memory.room("patch", "float32", (1, 3, height, width))
                kernels.fit(fitted, patch, side or own, stream=stream)
            out = self._memory.room("picture", picture.dtype, picture.shape)
            kernels.blend_faces(out, picture, fitted, self._constant(mask), place.matrix, stream=stream)
        return out

    def finish(self) -> None:
        """See `Runner.finish`."""
        with self._turn:
            self._memory.finish()

    def _constant(self, array: Array) -> DeviceTensor:
        """The array here; a read-only one stays."""
        if array.flags.writeable:
            return self.keep(array)
        known = self._constants.pop(id(array), None) or (array, self.keep(array))
        while len(self._constants) >= MOST_CONSTANTS:
            self._constants.pop(next(iter(self._constants)))
        self._constants[id(array)] = known
        return known[1]

    def _fed(self, session: DeviceSession, feeds: Mapping[str, Any]) -> dict[str, DeviceTensor]:
        """All feeds here; those from the host in one copy."""
        arrays = {name: feed for name, feed in feeds.items() if isinstance(feed, np.ndarray)}
        sent = self._memory.send(("fed", id(session)), arrays) if arrays else {}
        return {**{name: feed for name, feed in feeds.items() if name not in sent}, **sent}


@lru_cache(maxsize=4)
def _canvas(height: int, width: int) -> tuple[Image, Image]:
    """A black picture, and a mask of all of it."""
    black, white = np.zeros((height, width, 3), np.uint8), np.full((height, width), 255, np.uint8)
    black.flags.writeable = white.flags.writeable = False
    return black, white


def _known(session: Session, feeds: Mapping[str, DeviceTensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The outputs whose size follows from that of the feeds: type and shape by name."""
    sizes: dict[str, int] = {}
    for spec in session.inputs:
        if spec.name in feeds and len(spec.shape) == len(feeds[spec.name].shape):
            named = zip(spec.shape, feeds[spec.name].shape, strict=True)
            sizes.update({name: size for name, size in named if isinstance(name, str)})
    shapes = {spec: [sizes.get(n, -1) if isinstance(n, str) else n for n in spec.shape] for spec in session.outputs}
    return {spec.name: (spec.dtype, tuple(shape)) for spec, shape in shapes.items() if min(shape, default=0) >= 0}


def _check(picture: DeviceTensor) -> None:
    """Raises ImageError unless it is a picture."""
    shape = picture.shape
    if picture.dtype != "uint8" or len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < LEAST_SIDE:
        raise ImageError(
            f"A picture is uint8 (H, W, 3) RGB of at least {LEAST_SIDE} pixels a side; got an array on the GPU, "
            f"{picture.dtype} {shape}."
        )
