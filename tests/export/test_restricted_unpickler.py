"""Networks pickled whole come out as tensors and settings; whatever else a pickle wants is refused, not run."""

from __future__ import annotations

import builtins
import importlib
import io
import os
import pickle
import sys
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mien_export.checkpoints import CheckpointError, load
from mien_export.restricted_unpickler import Stub, Unpickler, read_module

SOURCE = """
from torch import nn

class AutoEncoder(nn.Module):
    def __init__(self, img_sz, n_skip):
        super().__init__()
        self.img_sz, self.n_skip, self.attr = img_sz, n_skip, [("Male", 2)]
        self.enc_layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 4, 4, bias=False), nn.BatchNorm2d(4), nn.ReLU())])
        self.register_buffer("kept", nn.Parameter(self.enc_layers[0][1].weight + 1).data)
        self.register_buffer("passing", self.kept + 1, persistent=False)
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module `src.model`, as the public code has one, with a source file: old formats store the source too."""
    folder = tmp_path / "code" / "src"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "model.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder.parent)
    yield importlib.import_module("src.model")
    for name in ("src", "src.model"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_whole_network_is_read_without_its_code(tmp_path: Path, model: Any, legacy: bool) -> None:
    torch.manual_seed(1)
    network = model.AutoEncoder(64, 1).half()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(network, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    del sys.modules["src.model"], sys.modules["src"]
    (tmp_path / "code" / "src" / "model.py").write_text("raise RuntimeError('imported')")
    checkpoint = read_module(tmp_path / "a.pth")
    assert "src.model" not in sys.modules
    assert list(checkpoint.state) == list(network.state_dict()) and "passing" not in checkpoint.state
    load(network.float(), checkpoint.state, "the autoencoder")
    assert checkpoint.opts == {"training": True, "img_sz": 64, "n_skip": 1, "attr": [("Male", 2)]}
    assert "src.model.AutoEncoder" in checkpoint.what


class Called:
    """Pickled as a call of anything."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def spoiled(path: Path, model: Any, value: object, legacy: bool = False) -> Path:
    network = model.AutoEncoder(64, 1)
    network.extra = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(network, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (os.system, ("touch done",), r"(posix|nt)\.system"),
        (builtins.eval, ("open('done', 'w')",), r"\.eval"),
        (builtins.exec, ("open('done', 'w')",), r"\.exec"),
        (getattr, ("text", "upper"), r"\.getattr"),
        (importlib.import_module, ("src.evil",), r"importlib\.import_module"),
        (torch.load, ("done",), r"torch\.serialization\.load"),
        (torch.hub.load, ("a", "b"), r"torch\.hub\.load"),
    ],
)
def test_calls_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Any, function: Any, arguments: Any, said: str, legacy: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = spoiled(tmp_path / "a.pth", model, Called(function, *arguments), legacy)
    with pytest.raises(CheckpointError, match=f"would call .*{said}"):
        read_module(path)
    assert not (tmp_path / "done").exists()


def test_a_dotted_name_reaches_nothing_through_a_stub() -> None:
    found = unpickled(b"\x80\x04\x8c\x1atorch.nn.modules.container\x8c\x10operator.truediv\x93.")
    assert isinstance(found, type) and issubclass(found, Stub)


def unpickled(data: bytes) -> object:
    return Unpickler(io.BytesIO(data)).load()


def test_a_stub_takes_no_arguments_and_no_odd_state() -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"calls src\.model\.AutoEncoder with arguments"):
        unpickled(b"csrc.model\nAutoEncoder\n(X\x01\x00\x00\x00atR.")
    with pytest.raises(pickle.UnpicklingError, match="no dictionary"):
        unpickled(b"csrc.model\nAutoEncoder\n)\x81]b.")


def test_what_rebuilds_tensors_cannot_be_changed() -> None:
    slots = b"ctorch._utils\n_rebuild_tensor_v2\n(N}X\x01\x00\x00\x00aK\x01stb."
    with pytest.raises(pickle.UnpicklingError, match="changes what rebuilds"):
        unpickled(slots)
    assert not hasattr(torch._utils._rebuild_tensor_v2, "a")


def test_parameters_of_torch_0_3(tmp_path: Path) -> None:
    """There a parameter was a call of its class with a tensor, then a state of three flags."""
    data = torch.arange(3.0)

    class OldParameter:
        def __reduce__(self) -> Any:
            return nn.Parameter, (data,), (True, False, OrderedDict())

    with_old = nn.Module()
    with_old.__dict__["_parameters"] = OrderedDict(weight=OldParameter(), bias=None)
    torch.save(with_old, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_module(tmp_path / "a.pth").state["weight"], data)


def test_files_that_are_no_pickled_network(tmp_path: Path, model: Any) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "state.pth")
    with pytest.raises(CheckpointError, match="holds no pickled network"):
        read_module(tmp_path / "state.pth")
    torch.save(nn.ReLU(), tmp_path / "empty.pth")
    with pytest.raises(CheckpointError, match="without weights"):
        read_module(tmp_path / "empty.pth")
    path = spoiled(tmp_path / "half.pth", model, 1, legacy=True)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_module(path)
    with pytest.raises(CheckpointError, match="no such file"):
        read_module(tmp_path / "none.pth")


def test_a_network_inside_itself_is_an_error(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    network._modules["self"] = network
    torch.save(network, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="inside itself"):
        read_module(tmp_path / "a.pth")


def test_a_parameter_that_is_no_tensor_is_an_error(tmp_path: Path) -> None:
    network = nn.Linear(2, 2)
    network.__dict__["_parameters"] = OrderedDict(weight="text")
    torch.save(network, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="weight is no tensor"):
        read_module(tmp_path / "a.pth")
