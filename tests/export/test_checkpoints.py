"""Public checkpoint layouts in both of torch's formats, files that are none, and weights that do not fit."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mien_export.checkpoints import Checkpoint, CheckpointError, load, part, read_state, read_weights


def small() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def weights() -> dict[str, Tensor]:
    return small().state_dict()


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def same(ours: dict[str, Tensor], truth: dict[str, Tensor]) -> bool:
    return list(ours) == list(truth) and all(torch.equal(ours[key], truth[key]) for key in truth)


def saved(path: Path, stored: Any, legacy: bool = False) -> Path:
    torch.save(stored, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
def test_a_bare_state_is_read_in_both_formats_of_torch(tmp_path: Path, legacy: bool) -> None:
    checkpoint = read_state(saved(tmp_path / "a.pth", weights(), legacy))
    assert same(checkpoint.state, weights())
    assert checkpoint.latent_avg is None and dict(checkpoint.opts) == {}
    assert checkpoint.what == f"bare state_dict, {len(weights())} tensors"


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", [dict, argparse.Namespace])
def test_the_layout_of_psp_with_its_settings(tmp_path: Path, legacy: bool, kind: type) -> None:
    both = prefixed("encoder.", weights()) | prefixed("decoder.", {"a.encoder.b": torch.ones(2)})
    opts = kind(encoder_type="GradualStyleEncoder", output_size=1024)
    stored = {"state_dict": both, "latent_avg": torch.full((18, 512), 0.5), "opts": opts, "global_step": 7}
    checkpoint = read_state(saved(tmp_path / "psp.pt", stored, legacy))
    assert same(part(checkpoint, "encoder."), weights())
    assert list(part(checkpoint, "decoder")) == ["a.encoder.b"]
    assert checkpoint.latent_avg is not None and checkpoint.latent_avg.shape == (18, 512)
    assert checkpoint.opts["output_size"] == 1024


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    stored = {"g": {"a": torch.zeros(2)}, "g_ema": {"a": torch.ones(2)}, "d": {"b": torch.ones(2)}}
    checkpoint = read_state(saved(tmp_path / "s.pt", {**stored, "latent_avg": torch.ones(512)}))
    assert torch.equal(checkpoint.state["a"], torch.ones(2)) and list(checkpoint.state) == ["a"]
    assert checkpoint.what.startswith("g_ema")
    plain = read_state(saved(tmp_path / "g.pt", {"g": stored["g"], "d": stored["d"]}))
    assert plain.what.startswith("g,") and list(plain.state) == ["a"]


def test_several_networks_keep_their_names(tmp_path: Path) -> None:
    optimiser = {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.1}]}
    stored = {
        "generator": weights(),
        "kp_detector": {"module.kp.weight": torch.ones(2)},
        "optimizer_generator": optimiser,
        "epoch": 99,
    }
    checkpoint = read_state(saved(tmp_path / "vox-cpk.pth.tar", stored, legacy=True))
    assert same(part(checkpoint, "generator."), weights())
    assert list(part(checkpoint, "kp_detector.")) == ["kp.weight"]
    assert {key.split(".")[0] for key in checkpoint.state} == {"generator", "kp_detector"}


def test_the_prefix_of_data_parallel_is_taken_off_only_when_every_key_has_it(tmp_path: Path) -> None:
    assert same(read_state(saved(tmp_path / "a.pt", prefixed("module.", weights()))).state, weights())
    mixed = prefixed("module.", weights()) | {"other": torch.ones(1)}
    assert "module.0.weight" in read_state(saved(tmp_path / "b.pt", mixed)).state


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32_and_are_named(tmp_path: Path, kind: torch.dtype) -> None:
    stored = {key: value.to(kind) if value.is_floating_point() else value for key, value in weights().items()}
    checkpoint = read_state(saved(tmp_path / "half.pt", {"state_dict": stored, "latent_avg": torch.ones(1, 2).half()}))
    assert all(value.dtype in (torch.float32, torch.int64) for value in checkpoint.state.values())
    assert checkpoint.latent_avg is not None and checkpoint.latent_avg.dtype == torch.float32
    assert f"stored in {str(kind)[6:]}" in checkpoint.what
    load(small(), checkpoint.state, "a test network")


def test_safetensors_by_name_or_by_content(tmp_path: Path) -> None:
    whole = prefixed("encoder.", weights()) | {"latent_avg": torch.ones(18, 512)}
    for name in ("a.safetensors", "a.pt"):
        save_file(whole, tmp_path / name, {"encoder_type": "Encoder4Editing"})
        checkpoint = read_state(tmp_path / name)
        assert same(part(checkpoint, "encoder."), {key: weights()[key] for key in part(checkpoint, "encoder.")})
        assert len(checkpoint.state) == len(weights()) and checkpoint.latent_avg is not None
        assert checkpoint.opts["encoder_type"] == "Encoder4Editing"


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.002, 0.3, 0.9, 0.999])
def test_half_a_download_is_an_error_of_ours(tmp_path: Path, name: str, legacy: bool, share: float) -> None:
    state = {"a": torch.randn(300, 50), "b": torch.randn(100)}
    path = tmp_path / name
    if name.endswith("pt"):
        saved(path, state, legacy)
    else:
        save_file(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match="ownload"):
        read_state(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>Quota exceeded", "web page"),
        (b"\n <html>", "web page"),
        (b"just some notes\n", "text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "git lfs pull"),
        (bytes(range(128, 256)) * 9, "no checkpoint"),
        (pickle.dumps({"a": 1}), "no checkpoint"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=said):
        read_state(path)


def test_folders_missing_files_and_archives(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder"):
        read_state(tmp_path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_state(tmp_path / "none.pt")
    with tarfile.open(tmp_path / "a.pth.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("inside"), io.BytesIO())
    with pytest.raises(CheckpointError, match="tar archive"):
        read_state(tmp_path / "a.pth.tar")


def test_a_script_program_is_refused(tmp_path: Path) -> None:
    program = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    torch.jit.save(program, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize("stored", [torch.ones(3), [torch.ones(3)], {"epoch": 3}, {}, {"a": {"b": 1}}])
def test_files_without_weights(tmp_path: Path, stored: object) -> None:
    with pytest.raises(CheckpointError, match="expected|no weights were found"):
        read_state(saved(tmp_path / "a.pt", stored))


class Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch done",)


@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_in_a_checkpoint_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool) -> None:
    monkeypatch.chdir(tmp_path)
    for stored in ({"a": torch.ones(2), "b": Evil()}, {"opts": argparse.Namespace(x=Evil()), "state_dict": weights()}):
        with pytest.raises(CheckpointError, match=r"it would call (posix|nt)\.system"):
            read_state(saved(tmp_path / "a.pt", stored, legacy))
    assert not (tmp_path / "done").exists()


def test_missing_parts_say_what_there_is() -> None:
    bisenet = {"cp.arm16.conv.conv.weight": torch.ones(1), "ffm.convblk.conv.weight": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"no weights under 'encoder\.'.*a BiSeNet face parser"):
        part(Checkpoint(bisenet), "encoder.")
    with pytest.raises(CheckpointError, match="no tensors"):
        part(Checkpoint({}), "encoder.")
    with pytest.raises(CheckpointError, match="nothing known: encoders.a"):
        part(Checkpoint({"encoders.a": torch.ones(1)}), "encoder.")


def test_loading_is_strict_but_for_the_counters() -> None:
    network, state = small(), {key: value + 1 for key, value in weights().items() if "num_batches" not in key}
    load(network, OrderedDict(state), "a test network")
    assert torch.equal(network[0].weight, state["0.weight"])


def test_weights_of_another_network_are_described() -> None:
    state = {
        "cp.arm16.conv.conv.weight": torch.ones(1),
        "ffm.convblk.conv.weight": torch.ones(1),
        "0.bias": torch.ones(5),
    }
    with pytest.raises(CheckpointError) as caught:
        load(small(), state, "the pSp encoder")
    said = str(caught.value)
    assert "do not fit the pSp encoder" in said
    assert "7 of 9 tensors are missing (0.weight, 1.weight, 1.bias, ...)" in said
    assert "2 are left over (cp.arm16.conv.conv.weight, ffm.convblk.conv.weight)" in said
    assert "1 have another shape (0.bias [5] for [4])" in said
    assert "look like a BiSeNet face parser" in said


def test_damaged_weights_are_refused() -> None:
    state = weights()
    state["2.weight"] = torch.full_like(state["2.weight"], float("nan"))
    with pytest.raises(CheckpointError, match=r"1 hold NaN or infinity \(2.weight\)"):
        load(small(), state, "a test network")


def test_checkpoints_of_our_own_training(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {"averaged": prefixed("motion.", weights()), "step": 3})
    assert same(read_weights(path, "motion"), weights())
    with pytest.raises(CheckpointError, match="holds motion; 'generator' was asked for"):
        read_weights(path, "generator")
    with pytest.raises(CheckpointError, match="no such file"):
        read_weights(tmp_path / "b.pt", "motion")
    with pytest.raises(CheckpointError, match="no averaged weights"):
        read_weights(saved(tmp_path / "c.pt", weights()), "motion")
