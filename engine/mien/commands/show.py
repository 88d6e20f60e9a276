"""How results look on a terminal: tables on stdout, progress on stderr and only where a person looks on."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from mien.bundle import Manifest
from mien.doctor import Diagnosis
from mien.hub import Entry
from mien.sessions.base import NodePlace

if TYPE_CHECKING:
    from mien.commands.cached import CacheReport

MOST_SHOWN = 64
MARKS = {True: "works", False: "missing", None: ""}


def show_manifest(manifest: Manifest) -> None:
    """The whole of a manifest, hashes left out. Long lists, which are numbers for the engine, by their length."""
    print(f"{manifest.name}: {manifest.task}, family {manifest.family}")
    print(f"{manifest.origin}\nLicence: code {manifest.licence.code}, weights {manifest.licence.weights}")
    if manifest.extra:
        print()
    for name, value in manifest.extra.items():
        values = value if isinstance(value, tuple) else (value,)
        print(f"{name}: {', '.join(map(str, values)) if len(values) <= MOST_SHOWN else f'{len(values)} values'}")
    for role, network in manifest.networks.items():
        parity = f"{network.parity.max_abs_error:.1e} from {network.parity.reference}"
        print(f"\n{role}: {network.file}, {network.bytes / 1e6:.2f} MB, {network.precision}, at most {parity}")
        for way, tensors in (("in ", network.inputs), ("out", network.outputs)):
            for tensor in tensors:
                notes = [f"{tensor.spec}", tensor.layout, tensor.colour]
                print(f"  {way} {' '.join(note for note in notes if note)}")


def show_places(places: Mapping[str, Sequence[NodePlace]]) -> None:
    """For each network how many nodes are where, then every node."""
    for role, found in places.items():
        counts = Counter(place.provider.split(",")[0] for place in found).most_common()
        print(f"{role}: {', '.join(f'{count} of {len(found)} nodes on {where}' for where, count in counts)}")
    table = Table("network", "node", "operator or layer", "runs on")
    for role, found in places.items():
        for place in found:
            table.add_row(role, place.name, place.operator, place.provider)
    _console().print(table)


def show_facts(diagnosis: Diagnosis) -> None:
    """One line for each fact."""
    table = Table("topic", "name", "value", "", show_lines=False)
    for fact in diagnosis.facts:
        style = "red" if fact.works is False else None
        table.add_row(fact.topic, fact.name, fact.value, MARKS[fact.works], style=style)
    _console().print(table)


def show_entries(entries: Iterable[Entry]) -> None:
    """What can be pulled."""
    table = Table("name", "what", "MB", "licence", "origin")
    for entry in entries:
        table.add_row(entry.name, entry.what, f"{entry.bytes / 1e6:.1f}", entry.licence, entry.origin)
    _console().print(table)


def show_cache(report: "CacheReport") -> None:
    """One line for each file, then all of them together."""
    table = Table("kind", "what", "MB", "days", "not used any more")
    for file in report.files:
        days = f"{file.age / 86400:.1f}"
        table.add_row(
            file.kind, file.what, f"{file.bytes / 1e6:.1f}", days, file.stale, style="red" if file.stale else ""
        )
    if report.files:
        _console().print(table)
    print(f"{report.folder}: {report.bytes / 1e6:.1f} MB")


def _console() -> Console:
    # Without markup: in "pip install 'mien[gpu]'" the brackets are meant.
    return Console(markup=False, highlight=False)


@contextmanager
def working(what: str, shown: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """A bar, as a function of what is done and how much there is; None where nobody looks on."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def pulling(what: str, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for bytes done and bytes in all; None where nobody looks on."""
    with working(what, shown) as bar:
        yield bar
