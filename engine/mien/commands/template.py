"""`mien template`: a driver's motion, recorded once to a file that drives any portrait."""

import time
from dataclasses import dataclass
from pathlib import Path

from mien.bundle import Bundle
from mien.commands.driver import record
from mien.reenact.family import open_family
from mien.reenact.template_files import check_name, write_template
from mien.stream.pipeline import Progress
from mien.stream.sources import open_source


@dataclass(frozen=True)
class TemplateJob:
    """What `mien template` was asked to do."""

    driving: str
    """A video or a folder of pictures."""
    output: Path
    """An .npz file."""
    bundle: str = "studio"
    device: str = "cpu"
    backend: str = "ort"
    threads: int | None = None


@dataclass(frozen=True)
class TemplateReport:
    """What was recorded."""

    output: str
    family: str
    frames: int
    seen: int
    """In how many of them there was a face."""
    rate: str
    """Frames per second, as a fraction."""
    seconds: float
    """That it took."""


def record_template(job: TemplateJob, progress: Progress | None = None) -> TemplateReport:
    """Does the job. Raises VideoError, ImageError, NoFace, BundleError, OutputError; MotionError for a camera."""
    check_name(job.output)
    start = time.perf_counter()
    family = open_family(Bundle.open(job.bundle), job.device, job.threads, job.backend)
    with open_source(job.driving) as frames:
        template = record(family, frames, progress)
    write_template(job.output, template)
    seconds = time.perf_counter() - start
    seen = int(template.seen.sum())
    return TemplateReport(str(job.output), family.name, len(template.pts), seen, str(template.rate), seconds)
