"""Opening a bundle: every file is held against the manifest's size and sha256 before anything parses it."""

from __future__ import annotations

import hashlib
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mien.bundle.arrays import read_arrays
from mien.bundle.manifest import ArraysSpec, Manifest, NetworkSpec
from mien.bundle.members import MOST_BYTES, Members, open_members
from mien.bundle.onnx_guard import refuse_external_data
from mien.errors import BundleError, BundleInvalid, BundleNotFound, BundleTampered
from mien.sessions import Session, TensorSpec, open_session

if TYPE_CHECKING:
    from mien.sessions.cuda import Stream

Array = NDArray[Any]

EMBEDDED = Path(__file__).parent.parent / "bundles"
MANIFEST = "bundle.json"
MOST_MANIFEST = 1 << 22


class Bundle:
    """An opened bundle: its manifest, its networks by role, its arrays by name. Files are read when asked for."""

    def __init__(self, manifest: Manifest, members: Members, place: str) -> None:
        self.manifest = manifest
        self.place = place
        self.members = members

    @classmethod
    def open(cls, name_or_path: str | PathLike[str]) -> Bundle:
        """The bundle that mien brings by that name ("studio"), or else the folder or zip at that path.

        Raises BundleNotFound, BundleInvalid (a manifest that mien does not read) or BundleTampered.
        """
        name = str(name_or_path)
        if name in embedded_bundles():
            path = EMBEDDED / name
        else:
            path = Path(name_or_path)
            if not path.exists():
                there = ", ".join(embedded_bundles()) or "none"
                raise BundleNotFound(
                    f"There is no bundle {name!r}: neither a folder or .zip at that path nor one that mien brings "
                    f"({there})."
                )
        members = open_members(path)
        return cls(Manifest.from_json(members.read(MANIFEST, MOST_MANIFEST)), members, name)

    def network(self, role: str) -> NetworkSpec:
        """What the manifest says about the network of that role. Raises BundleInvalid where there is none."""
        networks = self.manifest.networks
        if role not in networks:
            there = ", ".join(networks)
            raise BundleInvalid(f"The bundle {self.place!r} has no network for the role {role!r}; it has: {there}.")
        return networks[role]

    def model(self, role: str) -> bytes:
        """The verified ONNX file of that role; its weights are inside of it."""
        data = self._verified(self.network(role))
        refuse_external_data(data, f"The network {role!r} of the bundle {self.place!r}")
        return data

    def session(
        self,
        role: str,
        device: str = "cpu",
        threads: int | None = None,
        backend: str = "ort",
        stream: Stream | None = None,
    ) -> Session:
        """The network of that role, ready to run; see `open_session`.

        Raises BundleInvalid where the network's tensors are not those of the manifest.
        """
        spec = self.network(role)
        session = open_session(self.model(role), backend, device, threads, stream)
        for kind, said, real in (
            ("inputs", spec.inputs, session.inputs),
            ("outputs", spec.outputs, session.outputs),
        ):
            if {_outline(info.spec) for info in said} != {_outline(tensor) for tensor in real}:
                session.close()
                raise BundleInvalid(
                    f"The {kind} of the network {role!r} are {', '.join(map(str, real))}, but bundle.json says "
                    f"{', '.join(str(info.spec) for info in said)}."
                )
        return session

    def array(self, name: str) -> Array:
        """A read-only array. Raises BundleInvalid where there is none of that name."""
        if name not in self.arrays:
            there = ", ".join(self.arrays) or "none"
            raise BundleInvalid(f"The bundle {self.place!r} has no array {name!r}; it has: {there}.")
        return self.arrays[name]

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """All arrays by name, read-only."""
        spec = self.manifest.arrays
        return read_arrays(self._verified(spec)) if spec else {}

    def verify(self) -> None:
        """Reads and checks every file. Raises the BundleError of the first that is not as the manifest says."""
        for role in self.manifest.networks:
            self.model(role)
        if self.manifest.arrays:
            read_arrays(self._verified(self.manifest.arrays))

    def _verified(self, spec: NetworkSpec | ArraysSpec) -> bytes:
        data = self.members.read(spec.file, min(spec.bytes, MOST_BYTES))
        if len(data) != spec.bytes:
            raise self._tampered(spec.file, f"has {len(data)} bytes; bundle.json says {spec.bytes}")
        if hashlib.sha256(data).hexdigest() != spec.sha256:
            raise self._tampered(spec.file, "does not have the sha256 that bundle.json says")
        return data

    def _tampered(self, file: str, fault: str) -> BundleError:
        return BundleTampered(
            f"The file {file!r} of the bundle {self.place!r} {fault}: it is damaged or was changed. "
            "Get the bundle again."
        )


def embedded_bundles() -> tuple[str, ...]:
    """The names of the bundles that mien brings."""
    if not EMBEDDED.is_dir():
        return ()
    return tuple(sorted(path.name for path in EMBEDDED.iterdir() if (path / MANIFEST).is_file()))


def _outline(spec: TensorSpec) -> tuple[str, str, tuple[int | None, ...]]:
    """Free dimensions have names in the manifest that a runtime need not keep."""
    return spec.name, spec.dtype, tuple(size if isinstance(size, int) else None for size in spec.shape)
