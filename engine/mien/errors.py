"""Every error that mien raises on purpose, and the exit code the command line gives for it.

MienError                    1   whatever mien reports about itself
 ├── InputError              3   what was handed in cannot be used
 │    ├── ImageError         3   a picture is missing, broken, too large, of the wrong kind
 │    ├── VideoError         3   a video is missing, broken, without frames
 │    ├── MotionError        3   a recorded motion does not fit
 │    ├── EditError          3   an edit that the bundle does not have, or a strength that is no number
 │    ├── NoFace             4   no face was found
 │    └── SeveralFaces       4   one face was asked for and there are several
 ├── OutputError             5   a result cannot be written
 │    └── DiskFull           6   there is no room left; what was finished before is kept
 ├── BundleError             7   a bundle cannot be used
 │    ├── BundleNotFound     7   there is none at that place
 │    ├── BundleInvalid      7   its manifest or one of its files is not what mien reads
 │    └── BundleTampered     7   a file is not the one its manifest describes
 ├── MissingDependency       8   an optional package is not installed
 ├── DeviceError             9   the asked device or provider cannot run here
 ├── SessionError           10   a network was fed wrongly, or failed while running
 └── HubError               11   a download did not give the promised file

A message says what was asked, what there is, and what to do. Exit code 2 is the command line's own (wrong usage).
"""

from typing import ClassVar


class MienError(Exception):
    """The root: ``except MienError`` catches everything that mien raises on purpose."""

    exit_code: ClassVar[int] = 1


class InputError(MienError):
    """What was handed in cannot be used."""

    exit_code = 3


class ImageError(InputError):
    """A picture is missing, broken, too large or of the wrong kind."""


class VideoError(InputError):
    """A video is missing, broken or without frames."""


class MotionError(InputError):
    """A recorded motion does not fit what it is asked to drive."""


class EditError(InputError):
    """An edit that the bundle does not have, a strength that is no number, a way of masking that it cannot run."""


class NoFace(InputError):
    """No face was found where one is needed."""

    exit_code = 4


class SeveralFaces(InputError):
    """Exactly one face was asked for and there are several."""

    exit_code = 4


class OutputError(MienError):
    """A result cannot be written."""

    exit_code = 5


class DiskFull(OutputError):
    """No room is left where the result is written; what was finished before is kept."""

    exit_code = 6


class BundleError(MienError):
    """A bundle cannot be used."""

    exit_code = 7


class BundleNotFound(BundleError):
    """There is no bundle at that place or of that name."""


class BundleInvalid(BundleError):
    """The manifest, or a file it names, is not of the form that mien reads."""


class BundleTampered(BundleError):
    """A file is not the one the manifest describes: wrong size, wrong sha256, outside the bundle, a symbolic link."""


class MissingDependency(MienError):
    """An optional package is not installed.

    ``package`` is the name to import, ``extra`` the extra of mien that brings it.
    """

    exit_code = 8

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"The package {package!r} is needed for this and is not installed. Run: pip install 'mien[{extra}]'"
        )

    def __reduce__(self) -> tuple[type["MissingDependency"], tuple[str, str]]:
        return type(self), (self.package, self.extra)


class DeviceError(MienError):
    """The asked device or execution provider cannot run here."""

    exit_code = 9


class SessionError(MienError):
    """A network was fed wrongly, could not be read, or failed while running."""

    exit_code = 10


class HubError(MienError):
    """A download did not give the promised file."""

    exit_code = 11
