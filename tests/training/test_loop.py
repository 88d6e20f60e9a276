"""A training run: it learns, it survives being stopped, and what is exported is the average."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mien_export.checkpoints import CheckpointError, read_weights
from training.loop import SETTLED_PACE, Run, averaged, warm_start


def a_run(path: Path, steps: int = 40) -> tuple[Run, nn.Linear]:
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    return Run(path, {"line": network}, rate=0.05, steps=steps, warmup=2, keep=0.5), network


def batches() -> list[dict[str, Tensor]]:
    torch.manual_seed(1)
    inputs = torch.randn(200, 8, 3)
    return [{"x": x, "y": x @ torch.tensor([[1.0], [-2.0], [0.5]])} for x in inputs]


def train(run: Run, network: nn.Module, data: list[dict[str, Tensor]], minutes: float = 1.0) -> None:
    run.train(iter(data), lambda b: {"error": (network(b["x"]) - b["y"]).square().mean()}, minutes, lambda: "")


def test_it_learns_and_stops_at_its_steps(tmp_path: Path) -> None:
    run, network = a_run(tmp_path / "line.pt", 150)
    train(run, network, batches())
    assert run.step == 150
    assert (network.weight - torch.tensor([[1.0, -2.0, 0.5]])).abs().max() < 0.1


def test_stopped_and_started_again_it_goes_on_from_there(tmp_path: Path) -> None:
    first, network = a_run(tmp_path / "line.pt")
    first.steps = 20
    train(first, network, batches())
    second, again = a_run(tmp_path / "line.pt")
    assert second.step == 20
    assert torch.equal(again.weight, network.weight)
    train(second, again, batches()[20:])
    assert second.step == 40


def test_ctrl_c_leaves_a_checkpoint(tmp_path: Path) -> None:
    run, network = a_run(tmp_path / "line.pt")

    def interrupted(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if run.step == 5:
            raise KeyboardInterrupt
        return {"error": network(batch["x"]).square().mean()}

    run.train(iter(batches()), interrupted, 1.0, lambda: "")
    assert a_run(tmp_path / "line.pt")[0].step == 5


def test_a_loss_that_is_not_finite_changes_nothing(tmp_path: Path) -> None:
    run, network = a_run(tmp_path / "line.pt")
    before = network.weight.detach().clone()
    run.update(network(torch.full((1, 3), float("nan"))).sum())
    assert torch.equal(network.weight, before)


def test_the_exported_weights_are_the_average(tmp_path: Path) -> None:
    run, network = a_run(tmp_path / "line.pt")
    train(run, network, batches())
    weights = read_weights(tmp_path / "line.pt", "line")
    loaded = nn.Linear(3, 1)
    averaged(tmp_path / "line.pt", {"line": loaded})
    assert torch.equal(weights["weight"], loaded.weight)
    assert not torch.equal(weights["weight"], network.weight)


def test_a_warm_start_keeps_what_agrees_and_computes_the_same_with_more_inputs(tmp_path: Path) -> None:
    old, network = a_run(tmp_path / "line.pt")
    train(old, network, batches())
    loaded = nn.Linear(3, 1)
    averaged(tmp_path / "line.pt", {"line": loaded})
    grown = nn.ModuleDict({"wide": nn.Linear(5, 1), "new": nn.Linear(2, 2)})
    untouched = grown["new"].weight.detach().clone()
    stored = torch.load(tmp_path / "line.pt", weights_only=True)
    stored["averaged"] = {f"nets.wide.{k[5:]}": v for k, v in stored["averaged"].items()}
    torch.save(stored, tmp_path / "old.pt")
    changed = warm_start(tmp_path / "old.pt", {"nets": grown})
    assert changed == ["nets.wide.weight", "nets.new.weight", "nets.new.bias"]
    x = torch.randn(4, 3)
    assert torch.allclose(grown["wide"](torch.cat([x, torch.randn(4, 2)], 1)), loaded(x))
    assert torch.equal(grown["new"].weight, untouched)


def test_a_run_begins_with_an_older_version_only_where_it_has_no_checkpoint_of_its_own(tmp_path: Path) -> None:
    old, network = a_run(tmp_path / "old.pt")
    train(old, network, batches())
    torch.manual_seed(3)
    fresh = nn.Linear(3, 1)
    run = Run(tmp_path / "new.pt", {"line": fresh}, rate=0.05, steps=9, start=tmp_path / "old.pt")
    assert torch.equal(fresh.weight, old.averaged["line.weight"]) and run.step == 0
    assert torch.equal(run.averaged["line.weight"], fresh.weight)
    run.step = 5
    run.save()
    assert Run(tmp_path / "new.pt", {"line": nn.Linear(3, 1)}, 0.05, 9, start=tmp_path / "old.pt").step == 5


def test_runs_beside_are_saved_too(tmp_path: Path) -> None:
    run, network = a_run(tmp_path / "line.pt", 3)
    judge = Run(tmp_path / "judge.pt", {"judge": nn.Linear(1, 1)}, rate=0.1, steps=3)
    run.train(iter(batches()), lambda b: {"e": network(b["x"]).square().mean()}, 1.0, lambda: "", beside=[judge])
    assert (tmp_path / "judge.pt").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "no such file"), (b"hello", "cannot be read"), ({"a": 1}, "no averaged weights"),
     ({"averaged": {"other.weight": torch.zeros(1)}}, "holds other")],
    ids=["missing", "text", "another format", "another network"],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused_in_words(tmp_path: Path, content: object, sentence: str) -> None:
    path = tmp_path / "x.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=sentence):
        read_weights(path, "line")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"averaged": {"line.weight": torch.zeros(1)}, "extra": Path}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_weights(tmp_path / "x.pt", "line")


def test_settled_parts_learn_more_slowly(tmp_path: Path) -> None:
    network = nn.ModuleDict({"old": nn.Linear(2, 1), "new": nn.Linear(2, 1)})
    run = Run(tmp_path / "two.pt", {"two": network}, rate=0.1, steps=10, warmup=0, settled=frozenset({"old"}))
    before = {key: value.clone() for key, value in run.state().items()}
    run.update(sum(parameter.sum() for parameter in network.parameters()))
    moved = {key: float((value - before[key]).abs().mean()) for key, value in run.state().items()}
    assert moved["two.old.weight"] == pytest.approx(SETTLED_PACE * moved["two.new.weight"], rel=0.05)
    assert [group["pace"] for group in Run(tmp_path / "x.pt", {"two": network}, 0.1, 10).optimizer.param_groups] == [1]


def test_what_is_checked_is_a_copy_with_averaged_weights(tmp_path: Path) -> None:
    run, network = a_run(tmp_path / "line.pt")
    train(run, network, batches())
    mean = run.mean_of(network)
    assert torch.equal(mean.weight, run.averaged["line.weight"]) and not torch.equal(mean.weight, network.weight)
