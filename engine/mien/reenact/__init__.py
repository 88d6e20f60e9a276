"""Reenactment: a source portrait that moves as a driving face does."""

from mien.reenact.motion import Motion, PointModel
from mien.reenact.reenactor import Reenacted, Reenactor

__all__ = ["Motion", "PointModel", "Reenacted", "Reenactor"]
