"""Directions in the shapes, norms and types of the published files, and files that do not fit the generator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mien.editing.directions import Direction, write_directions
from mien.errors import InputError
from mien_export.direction_files import read_direction_files

LAYERS = 18


def one(spec: Path | str, layers: int = LAYERS) -> Direction:
    (direction,) = read_direction_files([str(spec)], layers)
    return direction


def unit(*shape: int) -> np.ndarray:
    values = np.random.default_rng(4).standard_normal(shape)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("rows", [1, LAYERS])
def test_the_directions_of_e4e(tmp_path: Path, rows: int, legacy: bool) -> None:
    shape = (1, 512) if rows == 1 else (1, rows, 512)
    values = torch.from_numpy(unit(*shape)).float()
    torch.save(values, tmp_path / "Pose.pt", _use_new_zipfile_serialization=not legacy)
    direction = one(tmp_path / "Pose.pt")
    assert (direction.name, direction.unit, direction.difference_class) == ("pose", 3.0, -1)
    assert np.array_equal(direction.vector, values.numpy().reshape(rows, 512))


def test_a_boundary_of_interfacegan(tmp_path: Path) -> None:
    values = unit(1, 512)
    np.save(tmp_path / "stylegan_ffhq_smile_w_boundary.npy", values)
    direction = one(tmp_path / "stylegan_ffhq_smile_w_boundary.npy")
    assert (direction.name, direction.unit) == ("smile", 3.0)
    assert np.array_equal(direction.vector, values.astype(np.float32))


def test_a_direction_of_eogi_has_norm_1_and_its_class(tmp_path: Path) -> None:
    values = unit(LAYERS, 512) * 2.5
    np.save(tmp_path / "Beard.npy", values)
    direction = one(tmp_path / "Beard.npy")
    assert (direction.name, direction.unit) == ("beard", 20.0)
    assert (direction.difference_class, direction.parts) == (12, "beard")
    assert np.allclose(direction.vector, values / np.linalg.norm(values), atol=1e-7)


def test_our_own_file_keeps_what_it_says(tmp_path: Path) -> None:
    stored = [Direction("Big", unit(1, 512), 2.0, 5, "age"), Direction("plain", unit(LAYERS, 512))]
    write_directions(tmp_path / "a.npz", stored)
    found = read_direction_files([str(tmp_path / "a.npz")], LAYERS)
    assert [(d.name, d.unit, d.difference_class, d.parts) for d in found] == [
        ("Big", 2.0, 5, "age"),
        ("plain", 1.0, -1, "others"),
    ]


def components() -> dict[str, torch.Tensor]:
    return {
        "mean": torch.zeros(1, 512),
        "comp": torch.from_numpy(unit(80, 1, 512)).float(),
        "std": torch.linspace(4, 0.1, 80),
    }


def test_a_component_of_ganspace_on_its_rows(tmp_path: Path) -> None:
    stored = components()
    torch.save(stored, tmp_path / "ffhq_pca.pt")
    direction = one(f"white_hair={tmp_path / 'ffhq_pca.pt'}:57:7:10")
    assert (direction.name, direction.unit) == ("white_hair", 10.0)
    assert not direction.vector[:7].any() and not direction.vector[10:].any()
    expected = (stored["comp"][57, 0] * stored["std"][57]).numpy()
    assert np.array_equal(direction.vector[7:10], np.repeat(expected[None], 3, 0))


def test_components_must_be_chosen_and_exist(tmp_path: Path) -> None:
    path = tmp_path / "ffhq_pca.pt"
    torch.save(components(), path)
    with pytest.raises(InputError, match="80 components.*smile=ffhq_pca.pt:46:4:5"):
        one(path)
    for spec in ("80:0:2", "3:5:5", "3:7:19"):
        with pytest.raises(InputError, match="components 0 to 79 and the rows 0 to before 18"):
            one(f"{path}:{spec}")
    torch.save({**components(), "std": torch.ones(3)}, path)
    with pytest.raises(InputError, match="one deviation"):
        one(f"{path}:1:2:3")
    torch.save({**components(), "comp": torch.ones(80, 512)}, path)
    with pytest.raises(InputError, match=r"\(K, 1, 512\)"):
        one(f"{path}:1:2:3")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((14, 512), "14 rows of 512"),
        ((1, 14, 512), "14 rows of 512"),
        ((1, 256), "1 rows of 256"),
        ((2, 18, 512), r"shape \(2, 18, 512\)"),
        ((), "shape"),
    ],
)
def test_wrong_shapes_name_what_is_there_and_what_is_needed(tmp_path: Path, shape: tuple[int, ...], said: str) -> None:
    torch.save(torch.ones(shape), tmp_path / "a.pt")
    with pytest.raises(InputError, match=said):
        one(tmp_path / "a.pt")


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "not finite"), (float("inf"), "not finite"), (0.0, "zero")])
def test_damaged_directions(tmp_path: Path, value: float, said: str) -> None:
    torch.save(torch.full((1, 512), value), tmp_path / "a.pt")
    np.save(tmp_path / "a.npy", np.full((LAYERS, 512), value))
    for name in ("a.pt", "a.npy"):
        with pytest.raises(InputError, match=said):
            one(tmp_path / name)


def test_names_are_given_once(tmp_path: Path) -> None:
    torch.save(torch.ones(1, 512), tmp_path / "age.pt")
    path = str(tmp_path / "age.pt")
    assert [d.name for d in read_direction_files([path, f"older={path}"], LAYERS)] == ["age", "older"]
    with pytest.raises(InputError, match="Two directions are named age"):
        read_direction_files([path, path], LAYERS)
    write_directions(tmp_path / "two.npz", [Direction("a", unit(1, 512)), Direction("b", unit(1, 512))])
    with pytest.raises(InputError, match="holds 2 directions"):
        one(f"c={tmp_path / 'two.npz'}")


def test_what_holds_no_direction(tmp_path: Path) -> None:
    for stored in ({"a": torch.ones(1, 512)}, torch.ones(1, 512, dtype=torch.int64), [1.0]):
        torch.save(stored, tmp_path / "a.pt")
        with pytest.raises(InputError, match="no direction"):
            one(tmp_path / "a.pt")
    torch.save(torch.ones(1, 512), tmp_path / "a.pt")
    with pytest.raises(InputError, match="one direction only"):
        one(f"{tmp_path / 'a.pt'}:1:2:3")
    with pytest.raises(InputError, match="no such file"):
        one(tmp_path / "b.pt")
    with pytest.raises(InputError, match="only GANSpace"):
        one(f"{tmp_path / 'a.npy'}:1:2:3")
    with pytest.raises(InputError, match="names no direction"):
        one("")
