"""The material that mien brings for its demonstration: a portrait and a driving clip, both rendered, of nobody."""

from pathlib import Path

from mien.bundle.reading import EMBEDDED
from mien.commands.reenact import Job
from mien.errors import BundleNotFound

FOLDER = EMBEDDED / "studio" / "demo"


def demo_job(output: Path) -> Job:
    """The portrait and the clip of the studio bundle. Raises BundleNotFound where this mien was built without them."""
    source, driving = FOLDER / "source.jpg", FOLDER / "driving.mp4"
    if not source.is_file() or not driving.is_file():
        raise BundleNotFound("This mien was built without the studio bundle's demonstration; install it again.")
    return Job(source, str(driving), output)
