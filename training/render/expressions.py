"""Expressions: faces as people make them, drawn as mixtures of moods, speech sounds, blinks and single movements."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.random import Generator

Face = dict[str, float]
"""ARKit weights by name, 0..1 after `clipped`; besides them "tongueOut", "tongueUp" (both 0..1) and "tongueSide"."""

# Shares of a mood at strength 1; names without a side stand for both.
MOODS: Final[dict[str, Face]] = {
    "smile": {"mouthSmile": 0.8, "cheekSquint": 0.55, "eyeSquint": 0.4, "mouthDimple": 0.25, "cheekRaiser": 0.3},
    "grin": {"mouthSmile": 0.95, "cheekSquint": 0.7, "eyeSquint": 0.45, "mouthUpperUp": 0.5, "mouthLowerDown": 0.35,
             "jawOpen": 0.1, "cheekRaiser": 0.4},
    "laugh": {"mouthSmile": 1.0, "cheekSquint": 0.9, "eyeSquint": 0.75, "mouthUpperUp": 0.55, "mouthLowerDown": 0.45,
              "jawOpen": 0.6, "cheekRaiser": 0.6, "browInnerUp": 0.15, "eyeBlink": 0.25},
    "surprise": {"browInnerUp": 0.9, "browOuterUp": 0.95, "eyeWide": 0.85, "jawOpen": 0.6, "mouthFunnel": 0.25},
    "fear": {"browInnerUp": 0.95, "browOuterUp": 0.4, "browDown": 0.3, "eyeWide": 0.9, "mouthStretch": 0.8,
             "jawOpen": 0.25, "mouthLowerDown": 0.2},
    "anger": {"browDown": 1.0, "noseSneer": 0.45, "eyeSquint": 0.5, "mouthPress": 0.7, "jawForward": 0.3,
              "cheekSquint": 0.2, "mouthRollUpper": 0.15},
    "rage": {"browDown": 1.0, "noseSneer": 0.8, "eyeWide": 0.35, "mouthUpperUp": 0.7, "mouthLowerDown": 0.75,
             "mouthStretch": 0.5, "jawOpen": 0.4},
    "disgust": {"noseSneer": 1.0, "mouthUpperUp": 0.75, "browDown": 0.55, "cheekSquint": 0.6, "mouthFrown": 0.45,
                "mouthShrugLower": 0.35, "eyeSquint": 0.3},
    "sadness": {"browInnerUp": 0.9, "mouthFrown": 0.85, "mouthShrugLower": 0.5, "eyeSquint": 0.2, "browDown": 0.2,
                "eyeBlink": 0.2},
    "crying": {"browInnerUp": 0.7, "browDown": 0.5, "mouthFrown": 0.6, "mouthStretch": 0.6, "eyeSquint": 0.8,
               "cheekSquint": 0.7, "jawOpen": 0.3, "eyeBlink": 0.5, "mouthLowerDown": 0.3},
    "thinking": {"browDown": 0.5, "mouthPucker": 0.35, "mouthPress": 0.4, "eyeSquint": 0.35},
    "sleepy": {"eyeBlink": 0.55, "browInnerUp": 0.2, "jawOpen": 0.05},
    "yawn": {"jawOpen": 1.0, "eyeSquint": 0.8, "eyeBlink": 0.7, "browInnerUp": 0.4, "mouthStretch": 0.3},
    "pout": {"mouthPucker": 0.6, "mouthShrugLower": 0.7, "browDown": 0.3, "mouthRollUpper": 0.2},
    "kiss": {"mouthPucker": 1.0, "cheekPuff": 0.1, "eyeBlink": 0.3},
    "puff": {"cheekPuff": 0.9, "mouthPress": 0.5, "mouthPucker": 0.3},
    "doubt": {"mouthShrugUpper": 0.6, "mouthShrugLower": 0.8, "mouthFrown": 0.4, "browOuterUp": 0.5},
}  # fmt: skip
_MOOD_ODDS: Final = np.array([20, 14, 12, 10, 4, 6, 4, 5, 7, 3, 5, 4, 2, 3, 3, 2, 3], np.float64)

SOUNDS: Final[dict[str, Face]] = {
    "mbp": {"jawOpen": 0.18, "mouthClose": 0.19, "mouthPress": 0.5, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    "fv": {"jawOpen": 0.1, "mouthRollLower": 0.65, "mouthUpperUp": 0.35, "mouthLowerDown": 0.05},
    "o": {"jawOpen": 0.4, "mouthFunnel": 0.75, "mouthPucker": 0.25},
    "u": {"jawOpen": 0.15, "mouthPucker": 0.8, "mouthFunnel": 0.35},
    "a": {"jawOpen": 0.75, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15},
    "ae": {"jawOpen": 0.55, "mouthStretch": 0.3, "mouthLowerDown": 0.35, "mouthUpperUp": 0.2},
    "e": {"jawOpen": 0.25, "mouthStretch": 0.5, "mouthLowerDown": 0.4, "mouthUpperUp": 0.2, "mouthDimple": 0.2},
    "i": {"jawOpen": 0.12, "mouthSmile": 0.35, "mouthStretch": 0.4, "mouthLowerDown": 0.45, "mouthUpperUp": 0.2},
    "s": {"jawOpen": 0.05, "mouthLowerDown": 0.55, "mouthUpperUp": 0.3, "mouthStretch": 0.3},
    "sh": {"jawOpen": 0.1, "mouthFunnel": 0.8, "mouthLowerDown": 0.2, "mouthUpperUp": 0.2},
    "th": {"jawOpen": 0.18, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15, "tongueOut": 0.35, "tongueUp": 0.6},
    "l": {"jawOpen": 0.3, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1, "tongueUp": 1.0, "tongueOut": 0.1},
    "r": {"jawOpen": 0.25, "mouthFunnel": 0.4, "tongueUp": 0.6},
}  # fmt: skip

_SIDED: Final = (
    "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekRaiser", "cheekSquint", "eyeBlink", "eyeSquint",
    "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch",
    "mouthUpperUp", "noseSneer",
)  # fmt: skip
_LONE: Final = (
    *_SIDED, "jawForward", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPucker",
    "mouthFunnel", "jawOpen", "mouthLeft", "mouthRight", "jawLeft", "jawRight",
)  # fmt: skip


def add(face: Face, shares: Face, strength: float, lean: float = 0.0) -> None:
    """Add `strength` times the shares; lean: -1 (the subject's right side only) to 1 (left only)."""
    for name, share in shares.items():
        value = strength * share
        if name in _SIDED:
            face[f"{name}_L"] = face.get(f"{name}_L", 0.0) + value * (1 + min(lean, 0.0))
            face[f"{name}_R"] = face.get(f"{name}_R", 0.0) + value * (1 - max(lean, 0.0))
        else:
            face[name] = face.get(name, 0.0) + value


def clipped(face: Face) -> Face:
    """The weights within 0..1 (tongueSide -1..1); closing lips never close further than the jaw is open."""
    bounded = {n: float(np.clip(v, -1 if n == "tongueSide" else 0, 1)) for n, v in face.items()}
    if "mouthClose" in bounded:
        bounded["mouthClose"] = min(bounded["mouthClose"], 1.05 * bounded.get("jawOpen", 0.0))
    return bounded


def sample_expression(rng: Generator, calm: float = 0.33) -> Face:
    """One face by chance.

    calm: how often it stays near neutral, apart from its lids. Otherwise it is a mood, or speech over a mood, or
    movements of single muscles that no mood explains, so that nothing can be concluded from one part of the
    face about another with certainty.
    """
    face: Face = {}
    quiet = rng.random() < calm
    kind = rng.choice(("mood", "speech", "both", "lone"), p=(0.32, 0.26, 0.24, 0.18))
    strength = float(rng.uniform(0, 0.22) if quiet else rng.beta(2.2, 1.0))
    if kind in ("mood", "both"):
        _mood(rng, face, strength * (0.6 if kind == "both" else 1.0))
    if kind in ("speech", "both"):
        _speech(rng, face, float(rng.uniform(0, 0.25)) if quiet else float(rng.beta(2.2, 1.2)))
    if kind == "lone":
        _lone(rng, face, strength)
    if not quiet and rng.random() < 0.16:
        add(face, {"jawOpen": 1.0}, float(rng.uniform(0.3, 1.0)))
    if not quiet and rng.random() < 0.12:
        side = "Left" if rng.random() < 0.5 else "Right"
        add(face, {f"mouth{side}": 0.8, f"jaw{side}": 0.6}, rng.random())
    if not quiet and rng.random() < 0.2:
        brow = str(rng.choice(("browInnerUp", "browOuterUp", "browDown")))
        add(face, {brow: 1.0, **({"browOuterUp": 0.8} if brow == "browInnerUp" else {})}, rng.random(), _lean(rng))
    _tongue(rng, face)
    _lids(rng, face)
    return clipped(face)


def _lean(rng: Generator) -> float:
    """Most faces are nearly symmetric; some are one-sided."""
    return float(rng.uniform(-1, 1) if rng.random() < 0.15 else np.clip(rng.normal(0, 0.1), -1, 1))


def _mood(rng: Generator, face: Face, strength: float) -> None:
    name = str(rng.choice(list(MOODS), p=_MOOD_ODDS / _MOOD_ODDS.sum()))
    # muscles of one mood do not all answer alike
    shares = {n: v * float(np.clip(rng.normal(1, 0.22), 0, 1.6)) for n, v in MOODS[name].items()}
    add(face, shares, strength, _lean(rng))


def _speech(rng: Generator, face: Face, strength: float) -> None:
    names = list(SOUNDS)
    first, second = (SOUNDS[names[int(rng.integers(len(names)))]] for _ in range(2))
    between = float(rng.beta(0.7, 0.7))  # on the way from one sound to the next
    add(face, first, strength * (1 - between), 0.3 * _lean(rng))
    add(face, second, strength * between, 0.3 * _lean(rng))


def _lone(rng: Generator, face: Face, strength: float) -> None:
    for _ in range(int(rng.integers(1, 5))):
        add(face, {str(rng.choice(_LONE)): 1.0}, strength * rng.uniform(0.4, 1.0), _lean(rng))


def _tongue(rng: Generator, face: Face) -> None:
    opening = face.get("jawOpen", 0.0)
    if opening > 0.15 and rng.random() < 0.35:
        add(face, {"tongueUp": 1.0}, rng.random())
        face["tongueSide"] = float(rng.normal(0, 0.3))
    if opening > 0.3 and rng.random() < 0.1:
        add(face, {"tongueOut": 1.0}, rng.uniform(0.3, 1.0))


def _lids(rng: Generator, face: Face) -> None:
    """Blinks of every degree, often complete, whatever the rest of the face does; now and then one eye only."""
    chance = rng.random()
    if chance < 0.26:
        closed = float(rng.uniform(0.94, 1.0) if rng.random() < 0.5 else rng.uniform(0.1, 0.94))
        winking = rng.random() < 0.1
        for side in ("L", "R"):
            here = closed * float(np.clip(rng.normal(1, 0.02), 0.9, 1.05))
            face[f"eyeBlink_{side}"] = max(face.get(f"eyeBlink_{side}", 0.0), here)
            face[f"eyeWide_{side}"] = face.get(f"eyeWide_{side}", 0.0) * (1 - closed)
        if winking:
            face["eyeBlink_L" if rng.random() < 0.5 else "eyeBlink_R"] *= float(rng.uniform(0, 0.4))
    elif chance < 0.36:
        add(face, {"eyeWide": 1.0}, rng.random())
    elif chance < 0.42:
        add(face, {"eyeSquint": 1.0}, rng.random())
