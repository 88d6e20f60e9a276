"""StyleGAN2 as it is exported against the readable network: every split, noise both ways, and the ONNX files."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from mien.errors import InputError
from mien.sessions import OrtSession
from mien_export.graphs.mapping import MappingGraph
from mien_export.graphs.synthesis import SMALL, Rows, SynthesisGraph, default_split, split_at
from mien_export.networks.stylegan2 import Generator, blur_kernel, channels_at, completed
from mien_export.onnx_export import export

SIZE, WIDEST, STYLE = 32, 32, 48
TOLERANCE = 1e-5
Floats = npt.NDArray[np.float32]


def stirred(size: int = SIZE, widest: int = WIDEST, multiplier: int = 2) -> Generator:
    """With biases and noise strengths that are not zero, or nothing would notice if they were left out."""
    torch.manual_seed(3)
    generator = Generator(size, STYLE, 3, multiplier, widest=widest).eval()
    for name, weight in generator.named_parameters():
        if name.endswith(("noise.weight", "activate.bias")) or name.startswith("to_rgb"):
            torch.nn.init.normal_(weight, std=0.5)
    return generator.requires_grad_(False)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return stirred()


def codes(generator: Generator, batch: int = 2) -> Tensor:
    """Different in every row, or two rows could be mixed up."""
    return torch.randn(batch, generator.layers, STYLE, generator=torch.Generator().manual_seed(batch))


def unit(picture: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]."""
    return picture / 2 + 0.5


def assert_near(ours: Tensor, truth: Tensor) -> None:
    assert ours.shape == truth.shape
    assert (ours - truth).abs().max() <= TOLERANCE * truth.abs().max()


def fed(half: Rows, seed: int = 1) -> dict[str, Tensor]:
    """Noise by the names and in the shapes that one half asks for; the same for a name in either half."""
    random = torch.Generator()
    return {
        name: torch.randn(shape, generator=random.manual_seed(seed + int(name.removeprefix("noise_"))))
        for name, shape in half.noise_shapes.items()
    }


@pytest.mark.parametrize("split", range(2, 8))
@pytest.mark.parametrize("batch", [1, 2])
def test_both_halves_are_the_network_at_every_split(generator: Generator, split: int, batch: int) -> None:
    latents = codes(generator, batch)
    early, late = split_at(generator, split)
    features, rgb = early(latents)
    image, small = late(features, rgb, latents)
    truth = unit(generator(latents))
    assert_near(small, truth)
    assert_near(image, truth.clamp(0, 1))
    assert truth.min() < 0 or truth.max() > 1, "Nothing was clamped."
    assert rgb.shape[-1] * 2 == features.shape[-1]


def test_late_rows_alone_need_no_new_early_half(generator: Generator) -> None:
    latents = codes(generator)
    early, late = split_at(generator, 5)
    edited = latents.clone()
    edited[:, 5:] += 1
    assert_near(late(*early(latents), edited)[1], unit(generator(edited)))
    beyond = latents.clone()
    beyond[:, 4] += 1
    assert not torch.allclose(late(*early(latents), beyond)[1], unit(generator(beyond)), atol=1e-3)


def test_one_graph_for_all_rows_and_channel_multiplier_one() -> None:
    generator = stirred(128, 64, multiplier=1)
    assert generator.convs[-1].conv.weight.shape[1] == 64
    latents = codes(generator, 1)
    image, _ = SynthesisGraph(generator)(latents)
    assert_near(image, unit(generator(latents)).clamp(0, 1))


def test_the_small_picture_is_the_mean_of_the_large_one() -> None:
    generator = stirred(2 * SMALL, 4)
    latents = codes(generator, 1)
    image, small = SynthesisGraph(generator)(latents)
    assert image.shape[-1] == 2 * SMALL
    blocks = unit(generator(latents)).reshape(1, 3, SMALL, 2, SMALL, 2)
    assert_near(small, blocks.mean((3, 5)))


def test_noise_as_input_is_that_of_its_layer(generator: Generator) -> None:
    latents = codes(generator)
    early, late = split_at(generator, 4, noise="input")
    one, two = fed(early), fed(late)
    assert list(one | two) == [f"noise_{index}" for index in range(generator.layers - 1)]
    image, _ = late(*early(latents, **one), latents, **two)
    assert_near(image, unit(generator(latents, list((one | two).values()))).clamp(0, 1))


@pytest.mark.parametrize("split", [0, 1, 8, -2])
def test_a_split_that_is_no_row_is_refused(generator: Generator, split: int) -> None:
    with pytest.raises(InputError, match=rf"row {split} was asked.*2 to 7.*7 is"):
        split_at(generator, split)


@pytest.mark.parametrize(("layers", "split"), [(4, 3), (8, 7), (14, 11), (16, 13), (18, 13)])
def test_the_default_split_by_the_number_of_rows(layers: int, split: int) -> None:
    assert default_split(layers) == split


def run(model: bytes, feeds: Mapping[str, Tensor]) -> dict[str, Floats]:
    session = OrtSession(model, threads=1)
    found = session.run({name: tensor.numpy() for name, tensor in feeds.items()})
    session.close()
    return found


@pytest.mark.parametrize("noise", ["constant", "input"])
def test_exported_halves_take_every_batch(generator: Generator, noise: str) -> None:
    early, late = split_at(generator, 5, noise="input" if noise == "input" else "constant")
    latents = codes(generator, 2)
    one, two = fed(early), fed(late)
    features, rgb = early(latents, **one)
    first = {"latents": latents}
    second = {"features": features, "rgb": rgb, "latents": latents}
    early_file = export(early, first | one, ["features", "rgb"], dict.fromkeys(first, "batch"))
    late_file = export(late, second | two, ["image", "small"], dict.fromkeys(second, "batch"))
    assert max(early_file.largest, late_file.largest) < TOLERANCE

    alone = codes(generator, 3)
    cached = run(early_file.model, {"latents": alone, **one})
    found = run(late_file.model, {k: torch.from_numpy(v) for k, v in cached.items()} | {"latents": alone, **two})
    maps = None if noise == "constant" else list((one | two).values())
    assert_near(torch.from_numpy(found["image"]), unit(generator(alone, maps)).clamp(0, 1))


def test_mapping_exports_and_normalises_each_row_by_itself(generator: Generator) -> None:
    z = torch.randn(3, STYLE) * torch.tensor([[0.1], [1.0], [10.0]])
    exported = export(MappingGraph(generator), {"z": z}, ["w"], "batch")
    found = run(exported.model, {"z": z[1:2]})["w"]
    assert_near(torch.from_numpy(found), generator.style(z[1:2]))


def test_truncation_moves_every_row_towards_the_mean(generator: Generator) -> None:
    mean = generator.mean_latent(16)
    assert mean.equal(generator.mean_latent(16)) and not mean.equal(generator.mean_latent(16, seed=1))
    w = codes(generator)[:, 0]
    moved = generator.codes(w, 0.25, mean)
    assert moved.shape == (2, generator.layers, STYLE)
    torch.testing.assert_close(moved[:, 5], 0.25 * w + 0.75 * mean)
    assert generator.codes(w, 1.0)[:, 3].equal(w)
    with pytest.raises(InputError, match="0.25 needs the mean"):
        generator.codes(w, 0.25)


def test_a_file_without_noise_and_kernels_is_completed(generator: Generator) -> None:
    whole = generator.state_dict()
    published = {k: v for k, v in whole.items() if not k.startswith("noises.") and not k.endswith("kernel")}
    full = completed(published, generator, seed=4)
    generator_too = Generator(SIZE, STYLE, 3, widest=WIDEST)
    generator_too.load_state_dict(full, strict=True)
    assert full["convs.0.conv.blur.kernel"].equal(blur_kernel())
    assert full["noises.noise_3"].equal(completed(published, generator, seed=4)["noises.noise_3"])
    assert not full["noises.noise_3"].equal(completed(published, generator, seed=5)["noises.noise_3"])
    assert completed(whole, generator)["noises.noise_0"].equal(whole["noises.noise_0"])
    del published["conv1.conv.weight"]
    with pytest.raises(RuntimeError, match="conv1.conv.weight"):
        generator_too.load_state_dict(completed(published, generator), strict=True)


@pytest.mark.parametrize("size", [0, 4, 96, 2048])
def test_a_size_that_is_none_is_refused(size: int) -> None:
    with pytest.raises(InputError, match=f"{size} pixels was asked"):
        Generator(size)


def test_published_widths_and_rows() -> None:
    assert [channels_at(2**k) for k in range(2, 11)] == [512] * 5 + [256, 128, 64, 32]
    assert [channels_at(2**k, 1) for k in range(5, 11)] == [512, 256, 128, 64, 32, 16]
    assert [stirred(size, 2).layers for size in (256, 512, 1024)] == [14, 16, 18]
    assert stirred(16).noise_sides == (4, 8, 8, 16, 16)
