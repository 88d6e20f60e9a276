"""Why an engine will not be opened any more: each part of the machine that it was built for, changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mien.sessions.engine_cache import EngineKey
from mien.sessions.nvidia import Driver, Gpu
from mien.sessions.stale import why_stale
from mien.sessions.trt_flavour import FlavourName

L4 = Gpu("NVIDIA L4", 89, 24 << 30)
DRIVER = Driver("580.65.06", 13000, (Gpu("NVIDIA H100", 90, 80 << 30), L4))
KEY = EngineKey("0" * 64, "rtx", "1.7.1.116", "NVIDIA L4", 89, "580.65.06, CUDA 13.0", "fp32", (), ())
VERSIONS: dict[FlavourName, str] = {"rtx": "1.7.1.116"}


def test_an_engine_for_this_machine_is_not_stale() -> None:
    assert why_stale(KEY, DRIVER, VERSIONS) == ""


def test_without_a_driver_nothing_is_said_of_the_gpu() -> None:
    assert why_stale(KEY, None, VERSIONS) == ""


@pytest.mark.parametrize(
    ("key", "driver", "said"),
    [
        (None, DRIVER, "would be refused"),
        (replace(KEY, version="1.6.0"), DRIVER, "by TensorRT-RTX 1.6.0; this machine has 1.7.1.116"),
        (replace(KEY, flavour="tensorrt"), DRIVER, "by TensorRT 1.7.1.116, which is not installed"),
        (KEY, replace(DRIVER, release="590.10"), "driver 580.65.06, CUDA 13.0; this machine has 590.10, CUDA 13.0"),
        (KEY, replace(DRIVER, gpus=DRIVER.gpus[:1]), "for NVIDIA L4, which is not in this machine"),
        (KEY, replace(DRIVER, gpus=()), "not in this machine"),
    ],
)
def test_what_changed_is_named(key: EngineKey | None, driver: Driver, said: str) -> None:
    assert said in why_stale(key, driver, VERSIONS)
