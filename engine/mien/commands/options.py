"""The options that several commands share, and what their words mean; loads nothing heavy."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import typer

BundleOption = Annotated[str, typer.Option("--bundle", help="A bundle that mien brings, a folder, or a .zip.")]
EditBundleOption = Annotated[str, typer.Option("--bundle", help="An edit bundle, made by `mien export edit`.")]
DeviceOption = Annotated[str, typer.Option("--device", help="Where the networks run.")]
BackendOption = Annotated[
    Literal["ort", "openvino", "tensorrt", "rtx"], typer.Option("--backend", help="What runs the networks.")
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", min=1, help="Threads of each network.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=STRENGTH", help="What to change and how far; may be given several times."),
]
MethodOption = Annotated[
    Literal[
        "diffcam++",
        "tta+pca",
        "pca",
        "tta",
        "gradcam++-library",
        "gradcam++",
        "diffcam",
        "parsing",
        "none",
    ],
    typer.Option("--method", help="How to decide what may change."),
]
DeghostOption = Annotated[
    bool | None, typer.Option("--deghost/--no-deghost", help="Repair seams, where the bundle can.", show_default=False)
]
FaceOption = Annotated[str, typer.Option("--face", metavar="largest|N", help="Which face, 0 the most prominent.")]
SourceFaceOption = Annotated[
    str, typer.Option("--face", metavar="largest|N|all", help="Which of the portrait's faces, 0 the most prominent.")
]
EyesOption = Annotated[
    float | None,
    typer.Option(
        "--eyes", min=0, max=1, help="Keep the eyes so far open: height over width, 0 is closed.", show_default=False
    ),
]
LipsOption = Annotated[
    float | None,
    typer.Option(
        "--lips", min=0, max=1, help="Keep the mouth so far open: height over width, 0 is closed.", show_default=False
    ),
]
SmoothOption = Annotated[
    Literal["live", "file", "none"],
    typer.Option("--smooth", help="Steady the motion as it comes; looking at the whole clip first; or not at all."),
]
AlignedOption = Annotated[bool, typer.Option("--aligned", help="The pictures are aligned crops already.")]
DirectionsOption = Annotated[
    list[Path] | None, typer.Option("--directions", help="A file with more to --set; may be given several times.")
]


def strengths(words: Sequence[str] | None) -> dict[str, float]:
    """Strength by attribute from words like smile=1.5. Raises typer.BadParameter, which says what is wrong."""
    found: dict[str, float] = {}
    for word in words or ():
        name, sign, value = (part.strip() for part in word.partition("="))
        if not sign or not name:
            raise _wrong("--set", f"{word!r} is not of the form NAME=STRENGTH, for example smile=1.5.")
        if name in found:
            raise _wrong("--set", f"{name!r} is given twice.")
        found[name] = _number("--set", value)
    return found


def face_number(word: str) -> int | Literal["largest"]:
    """A face by number, or the largest one. Raises typer.BadParameter."""
    if word == "largest":
        return "largest"
    if not (word.isascii() and word.isdigit()):
        raise _wrong("--face", f"{word!r} is neither 'largest' nor a number from 0 on.")
    return int(word)


def face_choice(word: str) -> int | Literal["largest", "all"]:
    """A face by number, the largest one, or all of them. Raises typer.BadParameter."""
    if word == "all":
        return "all"
    return face_number(word)


def frame_rate(word: str) -> Fraction:
    """Pictures a second: 25, 29.97 or 30000/1001. Raises typer.BadParameter."""
    try:
        rate = Fraction(word)
    except (ValueError, ZeroDivisionError) as error:
        raise _wrong("--rate", f"{word!r} is no number of pictures a second, like 25 or 30000/1001.") from error
    if not 0 < rate <= 1000:
        raise _wrong("--rate", f"{word!r} is not above 0 and at most 1000.")
    return rate.limit_denominator(1001)


def _number(option: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _wrong(option, f"{word!r} is no finite number.")
    return value


def _wrong(option: str, text: str) -> typer.BadParameter:
    return typer.BadParameter(text, param_hint=option)
