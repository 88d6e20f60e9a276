"""scripts/gpu with stand-ins for Python and compute-sanitizer: which steps it takes, and what it says of the others."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

# Counts one GPU; lacks the modules in $LACKS; fails commands that name $FAILS; writes down all others.
PYTHON = """#!/usr/bin/env bash
case "$1" in
-) echo 1 ;;
-c) for name in $LACKS; do [[ $2 != *"import $name"* ]] || exit 1; done ;;
*)
    printf '%s\\n' "${*@Q}" >>"$LOG"
    [ -z "$FAILS" ] || [[ $* != *"$FAILS"* ]] || exit 7
    ;;
esac
"""

SANITIZER = """#!/usr/bin/env bash
while [ "$1" != "$PYTHON_WITH_MIEN" ]; do shift; done
exec "$@"
"""


@dataclass(frozen=True)
class Outcome:
    """``commands``: what Python was asked to run, word by word."""

    code: int
    out: str
    err: str
    commands: list[list[str]]


def run(folder: Path, lacks: str = "", fails: str = "") -> Outcome:
    for name, text in (("python", PYTHON), ("compute-sanitizer", SANITIZER)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    log = folder / "log"
    own = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "PYTHON_WITH_MIEN": str(folder / "python"),
        "LOG": str(log),
        "LACKS": lacks,
        "FAILS": fails,
        "MIEN_FULL_SIZE": "",
    }
    done = subprocess.run(
        ["bash", "scripts/gpu", str(folder)], cwd=REPOSITORY, env=os.environ | own, capture_output=True, text=True
    )
    return Outcome(done.returncode, done.stdout, done.stderr, [shlex.split(line) for line in log.open()])


def test_every_step_is_taken_and_no_run_of_tests_selects_nothing(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.code == 0, done.err
    modules = [words[1] for words in done.commands]
    assert modules == ["mien.cli", *["pytest"] * 4, "benchmarks.gpu"], "two of the tests under compute-sanitizer"
    assert done.commands[-1][2:] == ["--bundles", "studio", "--output", str(tmp_path)]
    for words in {tuple(words) for words in done.commands if words[1] == "pytest"}:
        collected = subprocess.run(
            [sys.executable, *words, "--collect-only", "-q", "--noconftest"], cwd=REPOSITORY, capture_output=True
        )
        assert collected.returncode == 0, f"{shlex.join(words)} selects no tests"


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("pycuda.driver", "sessions on addresses, TensorRT: PyCUDA is missing"),
        ("tensorrt_rtx", "TensorRT-RTX: the package tensorrt_rtx is missing"),
        ("onnxruntime", "ONNX Runtime on CUDA: the package for the CPU is installed"),
        ("mien._cuda", "the CUDA kernels, their tests and compute-sanitizer: mien was built without CUDA"),
        ("cupy", "the kernels against CuPy: CuPy is missing"),
        ("torch", "torch eager and torch.compile: torch is missing"),
    ],
)
def test_what_is_missing_is_told_at_the_end_and_the_rest_runs(tmp_path: Path, module: str, said: str) -> None:
    done = run(tmp_path, lacks=module)
    assert done.code == 0, done.err
    assert said in done.out[done.out.index("== not executed") :]
    assert done.commands[-1][1] == "benchmarks.gpu"


@pytest.mark.parametrize("step", ["tests/gpu", "tests/kernels/test_gpu.py", "benchmarks.gpu"])
def test_what_fails_is_told_at_the_end_and_the_rest_runs(tmp_path: Path, step: str) -> None:
    done = run(tmp_path, fails=step)
    assert done.code == 1
    assert "(exit code 7)" in done.out[done.out.index("== failed") :]
    assert done.commands[-1][1] == "benchmarks.gpu"
