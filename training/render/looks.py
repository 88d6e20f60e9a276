"""Look: everything random about how one synthetic person looks, drawn once; meshes and textures follow from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

Colour = tuple[float, float, float]

HAIR_KINDS: Final = (
    "bald", "buzz", "receding", "short", "side", "fringe", "curly", "afro", "bob", "long", "wavy", "bun", "ponytail",
)  # fmt: skip
BEARDS: Final = ("none", "stubble", "moustache", "goatee", "full")
GLASSES: Final = ("none", "round", "oval", "square", "cat", "dark")
HATS: Final = ("none", "cap", "beanie", "beret", "brim", "scarf", "veil")
EARRINGS: Final = ("none", "stud", "drop", "hoop")
CLOTHES: Final = ("bare", "crew", "vneck", "turtleneck", "shirt", "jacket", "ruff", "robe")
STYLES: Final = ("photo", "grey", "odd")

_SKIN: Final = np.array(
    [(248, 222, 206), (240, 204, 182), (228, 184, 156), (208, 158, 124), (176, 124, 92), (134, 88, 62), (96, 62, 46),
     (74, 50, 41)], np.float64,
)  # fmt: skip
_HAIR: Final = np.array(
    [(24, 20, 20), (38, 28, 24), (62, 42, 32), (92, 62, 42), (124, 88, 58), (150, 72, 38), (112, 48, 30),
     (158, 124, 80), (198, 164, 110), (226, 206, 166), (150, 148, 146), (214, 212, 208)], np.float64,
)  # fmt: skip
_HAIR_ODDS_LIGHT: Final = np.array([1, 2, 3, 3, 3, 1, 1, 2.5, 2, 0.7, 0, 0])
_HAIR_ODDS_DARK: Final = np.array([8, 5, 2, 0.7, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0, 0])
_IRIS: Final = np.array(
    [(70, 42, 24), (92, 58, 30), (118, 84, 44), (112, 104, 58), (88, 112, 84), (92, 120, 140), (110, 140, 168),
     (120, 128, 132)], np.float64,
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """One person's looks. Colours are sRGB in 0..255; strengths 0..1; lengths cm.

    melanin 0 (very pale) to 1 (very dark); age 0 (young) to 1 (old); masculine 0..1 only steers the odds.
    style: "photo", "grey" (every texture without colour) or "odd" (unnatural, painted colours).
    hairline: how far it lies above the usual one; hair_length: how far hair hangs below its shell;
    fringe: how far it falls over the forehead; parting: -1 (subject's right) to 1 (left).
    eye_depth, lid_hood, brow_ridge: cm, as in `orbit_relief`; iris_size, pupil: degrees about the eye's axis.
    """

    style: str
    masculine: float
    age: float
    melanin: float
    skin: Colour
    blush: float
    redness: float
    blotches: float
    pores: float
    wrinkles: float
    under_eye: float
    freckles: float
    moles: int
    lips: Colour
    lipstick: float
    eye_shadow: Colour
    eye_shadow_strength: float
    eye_liner: float
    brow: Colour
    brow_strength: float
    brow_thickness: float
    brow_arch: float
    brow_tilt: float
    beard: str
    beard_strength: float
    eye_depth: float
    lid_hood: float
    brow_ridge: float
    lid_crease: float
    iris: Colour
    iris_size: float
    pupil: float
    sclera: float
    teeth: Colour
    lashes: bool
    skin_gloss: float
    hair: str
    hair_colour: Colour
    hair_contrast: float
    hair_volume: float
    hair_length: float
    hair_gloss: float
    hairline: float
    fringe: float
    parting: float
    glasses: str
    frame: Colour
    hat: str
    hat_colour: Colour
    earrings: str
    necklace: str
    metal: Colour
    clothes: str
    cloth: Colour
    cloth_second: Colour
    cloth_pattern: str

    def attributes(self) -> dict[str, str | float]:
        """What a label file says about this person: names and numbers only."""
        plain = asdict(self)
        return {k: v for k, v in plain.items() if isinstance(v, str | int | float)}


def sample_look(rng: np.random.Generator) -> Look:
    """Draw one person's looks; the same generator state gives the same look."""
    style = str(rng.choice(STYLES, p=(0.87, 0.04, 0.09)))
    masculine, age, melanin = float(rng.random()), float(rng.beta(1.3, 1.6)), float(rng.beta(1.0, 1.5))
    man = masculine > 0.5
    skin = _skin(rng, melanin, style)
    hair_colour = _hair_colour(rng, age, melanin)
    made_up = (not man) and rng.random() < 0.6
    beard = str(rng.choice(BEARDS, p=(0.44, 0.18, 0.14, 0.1, 0.14))) if man else "none"
    lips = _lips(rng, skin, made_up)
    brow = _shade(hair_colour if rng.random() < 0.7 else (50, 38, 32), float(rng.uniform(0.5, 0.95)))
    hair, hat = _hair_kind(rng, man, age), _hat(rng, man)
    clothes = str(rng.choice(CLOTHES, p=(0.06, 0.2, 0.14, 0.1, 0.18, 0.16, 0.06, 0.1)))
    return Look(
        style=style, masculine=masculine, age=age, melanin=melanin, skin=skin,
        blush=float(rng.uniform(0, 0.8 if not man else 0.5)), redness=float(rng.beta(1.2, 2.5)),
        blotches=float(rng.uniform(0.2, 1)), pores=float(rng.uniform(0.2, 1)),
        wrinkles=float(np.clip(age * rng.uniform(0.6, 1.3) - 0.12, 0, 1)),
        under_eye=float(rng.beta(1.3, 2) * (0.5 + 0.7 * age)),
        freckles=float(rng.random() if rng.random() < 0.22 and melanin < 0.5 else 0.0), moles=int(rng.poisson(1.2)),
        lips=lips, lipstick=float(rng.uniform(0.5, 1)) if made_up else 0.0,
        eye_shadow=_any_colour(rng, 0.5), eye_shadow_strength=float(rng.uniform(0.1, 0.6)) if made_up else 0.0,
        eye_liner=float(rng.uniform(0.2, 0.7)) if made_up else float(rng.uniform(0, 0.3)),
        brow=brow, brow_strength=float(rng.beta(3, 1.5)) if rng.random() > 0.05 else 0.08,
        brow_thickness=float(rng.uniform(0.28, 0.6) if man else rng.uniform(0.16, 0.42)),
        brow_arch=float(rng.normal(0.0 if man else 0.12, 0.12)), brow_tilt=float(rng.normal(0, 0.06)),
        beard=beard, beard_strength=float(rng.uniform(0.35, 1)),
        eye_depth=float(0.55 * rng.beta(1.1, 1.6)), lid_hood=float(rng.uniform(0, 0.3) * (0.5 + 0.8 * age)),
        brow_ridge=float(rng.uniform(0, 0.45 if man else 0.2)), lid_crease=float(rng.uniform(0.1, 1)),
        iris=_iris(rng, melanin), iris_size=float(rng.uniform(18.5, 25.5)), pupil=float(rng.uniform(6, 13)),
        sclera=float(rng.uniform(0.74, 0.95)), teeth=_teeth(rng, age),
        lashes=bool(rng.random() < (0.12 if man else 0.5)),
        skin_gloss=float(rng.uniform(0.05, 0.5)),
        hair=hair, hair_colour=hair_colour, hair_contrast=float(rng.uniform(0.5, 1)),
        hair_volume=float(rng.uniform(0, 1)), hair_length=float(rng.uniform(0, 1)),
        hair_gloss=float(rng.uniform(0.05, 0.4)),
        hairline=float(rng.normal(-0.3, 0.5)), fringe=float(rng.uniform(0, 1)), parting=float(rng.uniform(-1, 1)),
        glasses=str(rng.choice(GLASSES, p=(0.74, 0.06, 0.06, 0.07, 0.03, 0.04))), frame=_frame(rng),
        hat=hat, hat_colour=_cloth_colour(rng),
        earrings=str(rng.choice(EARRINGS, p=(0.9, 0.05, 0.02, 0.03) if man else (0.5, 0.2, 0.15, 0.15))),
        necklace=str(rng.choice(("none", "chain", "beads"), p=(0.93, 0.06, 0.01) if man else (0.7, 0.18, 0.12))),
        metal=((212, 176, 84), (200, 202, 206), (240, 236, 226))[int(rng.integers(3))],
        clothes=clothes, cloth=_cloth_colour(rng), cloth_second=_cloth_colour(rng),
        cloth_pattern=str(rng.choice(("plain", "knit", "stripes", "checks", "print"), p=(0.46, 0.2, 0.12, 0.1, 0.12))),
    )  # fmt: skip


def _colour(values: np.ndarray) -> Colour:
    r, g, b = (float(np.clip(v, 2, 253)) for v in values)
    return r, g, b


def _shade(colour: Colour, factor: float) -> Colour:
    return _colour(np.asarray(colour) * factor)


def _any_colour(rng: np.random.Generator, value: float) -> Colour:
    hue, saturation = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.8)
    wave = np.cos(hue - np.array([0, 2.1, 4.2]))
    return _colour(255 * value * (1 + saturation * wave) * rng.uniform(0.5, 1.3))


def _skin(rng: np.random.Generator, melanin: float, style: str) -> Colour:
    place = melanin * (len(_SKIN) - 1)
    low = min(int(place), len(_SKIN) - 2)
    tone = _SKIN[low] + (place - low) * (_SKIN[low + 1] - _SKIN[low])
    warm, green = rng.normal(0, 0.035), rng.normal(0, 0.015)
    tone = tone * (1 + np.array([warm, green, -1.5 * warm])) * rng.uniform(0.92, 1.04)
    if style == "odd":
        other = np.asarray(_any_colour(rng, 0.62))
        tone = tone + rng.uniform(0.15, 0.6) * (other - tone)
    return _colour(tone)


def _hair_colour(rng: np.random.Generator, age: float, melanin: float) -> Colour:
    odds = _HAIR_ODDS_LIGHT * (1 - melanin) ** 2 + _HAIR_ODDS_DARK * melanin
    tone = _HAIR[int(rng.choice(len(_HAIR), p=odds / odds.sum()))] * rng.uniform(0.75, 1.2)
    grey = np.clip((age - 0.55) / 0.35 + rng.normal(0, 0.3), 0, 1)
    tone = tone + grey * (_HAIR[10 + int(rng.random() < 0.4)] - tone)
    if rng.random() < 0.03:
        tone = np.asarray(_any_colour(rng, 0.5))
    return _colour(tone)


def _lips(rng: np.random.Generator, skin: Colour, made_up: bool) -> Colour:
    natural = np.asarray(skin) * np.array([0.86, 0.62, 0.62]) * rng.uniform(0.85, 1.05)
    if not made_up:
        return _colour(natural)
    paint = np.array([rng.uniform(110, 215), rng.uniform(20, 100), rng.uniform(35, 110)])
    return _colour(natural + rng.uniform(0.3, 1) * (paint - natural))


def _iris(rng: np.random.Generator, melanin: float) -> Colour:
    limit = 2.2 if melanin > 0.55 else len(_IRIS)
    return _colour(_IRIS[int(rng.uniform(0, limit))] * rng.uniform(0.65, 1.15))


def _teeth(rng: np.random.Generator, age: float) -> Colour:
    yellow = rng.uniform(0, 0.5) + 0.4 * age
    return _colour(np.array([236, 228 - 10 * yellow, 214 - 44 * yellow]) * rng.uniform(0.8, 1.02))


def _hair_kind(rng: np.random.Generator, man: bool, age: float) -> str:
    male = np.array([0.07, 0.13, 0.06 + 0.2 * age, 0.28, 0.14, 0.07, 0.08, 0.04, 0.04, 0.03, 0.04, 0.01, 0.01])
    female = np.array([0.01, 0.02, 0.0, 0.07, 0.05, 0.05, 0.08, 0.06, 0.16, 0.18, 0.18, 0.08, 0.06])
    odds = male if man else female
    return str(rng.choice(HAIR_KINDS, p=odds / odds.sum()))


def _hat(rng: np.random.Generator, man: bool) -> str:
    if rng.random() > 0.2:
        return "none"
    male, female = (0.3, 0.22, 0.16, 0.2, 0.08, 0.04), (0.1, 0.16, 0.16, 0.14, 0.22, 0.22)
    return str(rng.choice(HATS[1:], p=male if man else female))


def _frame(rng: np.random.Generator) -> Colour:
    choices = ((22, 20, 20), (60, 36, 22), (150, 150, 155), (178, 146, 80), (120, 26, 34), (38, 50, 90))
    return choices[int(rng.integers(len(choices)))]


def _cloth_colour(rng: np.random.Generator) -> Colour:
    kind = rng.random()
    if kind < 0.25:
        return _colour(np.full(3, rng.uniform(12, 70)) + rng.normal(0, 4, 3))
    if kind < 0.42:
        return _colour(np.full(3, rng.uniform(170, 245)) + rng.normal(0, 6, 3))
    if kind < 0.55:
        return _colour(np.array([30, 42, 80]) * rng.uniform(0.6, 1.8))
    return _any_colour(rng, float(rng.uniform(0.25, 0.6)))
