"""The ways to decide which pixels an edit may change: the ablation of the source paper, as a table.

Song et al., Editing Out-of-Domain GAN Inversion via Differential Activations, ECCV 2022. Its mask is a class activation
map of what differs between the inverted and the edited face; every step from the plain map on can be chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import EditError


@dataclass(frozen=True)
class Method:
    """One way to draw the mask.

    ``difference``: the mask is the heat of the edited attributes in the difference network. The rest refines it.
    ``plusplus``: channels weighted as in Grad-CAM++ (Chattopadhay et al., 2018), else as in Grad-CAM. ``epsilon``:
    added to the denominator of those weights. ``tta``: the mean over mirrored, brighter and darker inputs. ``eigen``:
    smoothed by the first principal component. ``parsing``: kept inside the parts of the face that the edit is about.
    """

    name: str
    difference: bool = False
    plusplus: bool = False
    epsilon: float = 0.0
    tta: bool = False
    eigen: bool = False
    parsing: bool = False

    @property
    def roles(self) -> tuple[str, ...]:
        """The networks that it needs beside encoder and synthesis."""
        return ("difference", "heat") * self.difference + ("parsing",) * self.parsing

    @property
    def augmentations(self) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """(N,) whether each input of the difference network is mirrored, and (N,) what it is multiplied by."""
        if not self.tta:
            return np.array([False]), np.ones(1, np.float32)
        return np.repeat([False, True], 3), np.tile(np.array([1.0, 1.1, 0.9], np.float32), 2)


METHODS = {
    method.name: method
    for method in (
        Method("none"),  # the whole crop, faded towards its rim
        Method("parsing", parsing=True),
        Method("diffcam", difference=True),
        Method("gradcam++", difference=True, plusplus=True),
        # The constant that pytorch-grad-cam adds; with gradients as small as these it changes the weights.
        Method("gradcam++-library", difference=True, plusplus=True, epsilon=1e-6),
        Method("tta", difference=True, plusplus=True, tta=True),
        Method("pca", difference=True, plusplus=True, eigen=True),
        Method("tta+pca", difference=True, plusplus=True, tta=True, eigen=True),
        Method("diffcam++", difference=True, plusplus=True, tta=True, eigen=True, parsing=True),
    )
}


def find_method(name: str) -> Method:
    """The method of that name. Raises EditError with all names."""
    if name not in METHODS:
        raise EditError(f"The method {name!r} was asked for; there are: {', '.join(METHODS)}.")
    return METHODS[name]
