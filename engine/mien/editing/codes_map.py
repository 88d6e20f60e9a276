"""A map of codes: each face a point, near those that are like it, coloured by an attribute (t-SNE, 2008)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mien.editing.extra import need
from mien.editing.tables import Column
from mien.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float32]

LEAST_FACES = 5
NUMBERS = 50
"""Of a code's principal components; the rest is noise to t-SNE, and takes its time."""
PERPLEXITY = 30.0
LISTED = 9
"""Words of a category that have a colour of their own; the rarer ones share one."""
UNKNOWN_COLOUR, REST_COLOUR = "#d8d8d8", "#8c8c8c"
DOTS_PER_INCH = 120
PANEL = 5.0
"""Inches."""


def place_codes(points: Floats, seed: int = 0) -> Floats:
    """(N, 2): places by t-SNE of codes (N, L or 1, 512); rows of W+ count as one long code.

    Raises InputError for less than five codes, MissingDependency.
    """
    need("sklearn")
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(points) < LEAST_FACES:
        raise InputError(f"A map needs at least {LEAST_FACES} codes; there are {len(points)}.")
    flat = points.reshape(len(points), -1)
    if not np.ptp(flat, axis=0).any():
        raise InputError("A map was asked for of codes that are all the same.")
    count = min(NUMBERS, len(flat) - 1, flat.shape[1])
    main = PCA(count, svd_solver="randomized", random_state=seed).fit_transform(flat)
    perplexity = min(PERPLEXITY, (len(flat) - 1) / 3)
    places = TSNE(2, init="pca", perplexity=perplexity, random_state=seed).fit_transform(main)
    return np.asarray(places, np.float32)


def draw_map(places: Floats, columns: Sequence[Column]) -> bytes:
    """A PNG file with one panel for each attribute, side by side, all of the same places. Raises MissingDependency."""
    need("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(len(columns), 3)
    down = -(-len(columns) // across)
    figure = Figure((PANEL * across, PANEL * down), DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.ravel(figure.subplots(down, across, squeeze=False))
    for axes, column in zip(panels, columns, strict=False):
        _draw(axes, places, column)
    for axes in panels[len(columns) :]:
        axes.set_axis_off()
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw(axes: Axes, places: Floats, column: Column) -> None:
    known = ~np.isnan(column.values)
    look: dict[str, Any] = {"s": float(np.clip(8000 / len(places), 4, 40)), "linewidths": 0}
    if not known.all():
        axes.scatter(places[~known, 0], places[~known, 1], color=UNKNOWN_COLOUR, label="unknown", **look)
    if column.kind == "number":
        drawn = axes.scatter(places[known, 0], places[known, 1], c=column.values[known], cmap="viridis", **look)
        figure = axes.get_figure()
        assert figure is not None
        figure.colorbar(drawn, ax=axes, shrink=0.8)
    else:
        _draw_words(axes, places, column, look)
    axes.set_title(f"{column.name} ({int(known.sum())} of {len(places)} codes)")
    axes.set_xticks([])
    axes.set_yticks([])
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, fontsize="small", frameon=False, markerscale=2
        )


def _draw_words(axes: Axes, places: Floats, column: Column, look: dict[str, Any]) -> None:
    from matplotlib import colormaps

    counts = [int((column.values == place).sum()) for place in range(len(column.words))]
    common = sorted(np.argsort(counts, kind="stable")[::-1][:LISTED].tolist())
    rest = ~np.isnan(column.values) & ~np.isin(column.values, common)
    if rest.any():
        axes.scatter(places[rest, 0], places[rest, 1], color=REST_COLOUR, label=f"others ({int(rest.sum())})", **look)
    colours = [colormaps["tab10"](i) for i in range(10) if i != 7]  # that one is the grey of the rest
    for colour, place in zip(colours, common, strict=False):
        if counts[place]:
            label = f"{column.words[place]} ({counts[place]})"
            chosen = places[column.values == place]
            axes.scatter(chosen[:, 0], chosen[:, 1], color=[colour], label=label, **look)
