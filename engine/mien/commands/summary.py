"""What a command says on a terminal about what it did: a few lines, the result's place last."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.commands.animate import FilmReport
    from mien.commands.batch import BatchReport
    from mien.commands.edit import EditReport
    from mien.commands.reenact import Report
    from mien.commands.template import TemplateReport


def reenact_summary(report: Report, kept: bool) -> str:
    width, height = report.size
    stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in report.stage_seconds.items())
    lines = [
        f"{report.frames} frames of {width}x{height} in {report.seconds:.2f} s: {report.fps:.1f} frames a second",
        f"step: {report.step_ms['p50']:.1f} ms (p50), {report.step_ms['p99']:.1f} ms (p99); {stages}",
        f"first frame {report.startup_seconds:.2f} s after the start; {report.peak_memory_mb:.0f} MB at the peak",
    ]
    if report.age_ms is not None:
        lines.append(f"age of an output: {report.age_ms['p50']:.0f} ms (p50), {report.age_ms['p99']:.0f} ms (p99)")
    if lost := report.frames - report.status.get("tracked", 0):
        frames = "1 frame" if lost == 1 else f"{lost} frames"
        lines.append(f"{frames} without a face in the driver: the last picture was held, then black")
    return "\n".join([*lines, report.output] if kept else lines)


def template_summary(report: TemplateReport) -> str:
    seen = f"{report.frames} frames, {report.seen} of them with a face, in {report.seconds:.2f} s"
    return f"{seen}; for bundles of the family {report.family}\n{report.output}"


def edit_summary(report: EditReport) -> str:
    stages = ", ".join(f"{name} {ms:.0f} ms" for name, ms in report.timings_ms.items())
    width, height = report.size
    lines = [f"{report.changed:.1%} of {width}x{height} pixels changed, in {report.seconds:.2f} s", stages]
    return "\n".join([*lines, *filter(None, [report.mask]), report.output])


def batch_summary(report: BatchReport) -> str:
    counts = {"edited": report.done, "done before": report.skipped, "failed": len(report.failed)}
    counts["other files"] = report.ignored
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "edited")
    return f"{said}, in {report.seconds:.2f} s\n{report.output}"


def film_summary(report: FilmReport) -> str:
    width, height = report.size
    stages = ", ".join(f"{name} {ms:.0f} ms" for name, ms in report.timings_ms.items())
    return (
        f"{report.frames} frames of {width}x{height}, {report.rendered} of them rendered, in {report.seconds:.2f} s; "
        f"at most {report.changed:.1%} of the pixels change\n{stages}\n{report.output}"
    )
