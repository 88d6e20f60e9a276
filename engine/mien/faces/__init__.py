"""Faces in pictures: found by a detector, followed by the motion network, their values smoothed over time."""

from mien.faces.detect import CROP_CM, Detect, Face, NetworkDetector, YuNetDetector, detect_faces, letterbox, side_of
from mien.faces.smoothing import OneEuro
from mien.faces.tracker import Tracked, Tracker

__all__ = [
    "CROP_CM",
    "Detect",
    "Face",
    "NetworkDetector",
    "OneEuro",
    "Tracked",
    "Tracker",
    "YuNetDetector",
    "detect_faces",
    "letterbox",
    "side_of",
]
