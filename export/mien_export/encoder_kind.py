"""Which encoder a checkpoint of the pSp family holds: some share every key and differ in what is done with the rows."""

from __future__ import annotations

from typing import Literal, get_args

from mien_export.checkpoints import Checkpoint, CheckpointError, State, part
from mien_export.recognise import described, recognise

EncoderKind = Literal["psp", "e4e", "psp-w", "restyle-psp", "restyle-e4e"]

KINDS: tuple[EncoderKind, ...] = get_args(EncoderKind)

POSSIBLE: dict[str, tuple[EncoderKind, ...]] = {
    "a pSp or e4e encoder": ("psp", "e4e"),
    "a pSp encoder into W": ("psp-w",),
    "a ReStyle encoder": ("restyle-psp", "restyle-e4e"),
}

NAMED: dict[str, EncoderKind] = {
    "GradualStyleEncoder": "psp",
    "Encoder4Editing": "e4e",
    "BackboneEncoderUsingLastLayerIntoW": "psp-w",
    "SingleStyleCodeEncoder": "psp-w",
    "BackboneEncoder": "restyle-psp",
    "ProgressiveBackboneEncoder": "restyle-e4e",
}
"""``opts["encoder_type"]`` of the public checkpoints."""


def encoder_kind(checkpoint: Checkpoint, asked: str | None = None) -> EncoderKind:
    """What `encoder_state` is the weights of, or ``asked`` if they can be that.

    pSp and e4e have the same keys, as have ReStyle's two: only the file's ``opts`` tell them apart. Raises
    CheckpointError where these are missing or say something else than the weights, and for encoders that mien lacks.
    """
    looks = described(encoder_state(checkpoint))
    possible = POSSIBLE.get(looks)
    if possible is None:
        raise CheckpointError(f"The encoder looks like {looks}; mien has: {', '.join(KINDS)}.")
    kind = _chosen(asked) if asked is not None else _from_opts(checkpoint) or _only(possible, looks)
    if kind not in possible:
        source = "was asked for" if asked is not None else "is what the checkpoint's opts say"
        raise CheckpointError(f"{kind!r} {source}, but the weights look like {looks} ({' or '.join(possible)}).")
    return kind


def encoder_state(checkpoint: Checkpoint) -> State:
    """The weights under ``encoder.``, or those of a file that is nothing else. Raises CheckpointError."""
    own = recognise(checkpoint.state) in POSSIBLE
    return checkpoint.state if own else part(checkpoint, "encoder.")


def _chosen(asked: str) -> EncoderKind:
    for kind in KINDS:
        if asked == kind:
            return kind
    raise CheckpointError(f"The encoder {asked!r} was asked for; there are: {', '.join(KINDS)}.")


def _from_opts(checkpoint: Checkpoint) -> EncoderKind | None:
    name = checkpoint.opts.get("encoder_type")
    if name is None:
        return None
    kind = NAMED.get(str(name))
    if kind is None:
        raise CheckpointError(f"The checkpoint's opts name the encoder {name!r}; mien has: {', '.join(NAMED)}.")
    return kind


def _only(possible: tuple[EncoderKind, ...], looks: str) -> EncoderKind:
    if len(possible) == 1:
        return possible[0]
    raise CheckpointError(
        f"The weights look like {looks}, and the file has no opts that say which: "
        f"their keys are the same. Say it yourself: {' or '.join(possible)}."
    )
