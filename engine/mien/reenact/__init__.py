"""Reenactment: a source portrait that moves as a driving face does."""

from mien.reenact.family import Family, FamilyMotion, FamilySource, open_family
from mien.reenact.motion import Motion, PointModel
from mien.reenact.reenactor import Reenacted, Reenactor
from mien.reenact.transfer import Transfer

__all__ = [
    "Family",
    "FamilyMotion",
    "FamilySource",
    "Motion",
    "PointModel",
    "Reenacted",
    "Reenactor",
    "Transfer",
    "open_family",
]
