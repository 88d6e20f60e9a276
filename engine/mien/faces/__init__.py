"""Faces in pictures: found by a detector, followed by the motion network, smoothed over time, aligned for editing."""

from mien.faces.alignment import aligned_crop, ffhq
from mien.faces.detect import CROP_CM, Detect, Face, NetworkDetector, YuNetDetector, detect_faces, letterbox, side_of
from mien.faces.portrait import Portrait, PortraitFinder
from mien.faces.smoothing import OneEuro
from mien.faces.tracker import Tracked, Tracker

__all__ = [
    "CROP_CM",
    "Detect",
    "Face",
    "NetworkDetector",
    "OneEuro",
    "Portrait",
    "PortraitFinder",
    "Tracked",
    "Tracker",
    "YuNetDetector",
    "aligned_crop",
    "detect_faces",
    "ffhq",
    "letterbox",
    "side_of",
]
