"""What every training script shares: its beginning, schedule, averaged weights, checkpoints that survive a kill."""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from torch import Tensor, nn

SETTLED_PACE = 0.25
Network = TypeVar("Network", bound=nn.Module)


def begin(threads: int, seed: int) -> None:
    """What comes before any network is made: as many threads as asked for, and initial weights that can be repeated."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)


def channels_last(network: Network) -> Network:
    """The same network, its weights laid out as convolutions on a CPU like them."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


@dataclass
class Run:
    """One training run: its folder, its length, and where it stands.

    The learning rate rises over ``warmup`` steps and falls along a cosine to 2 % at ``steps``. Averaged weights (EMA)
    are what is validated and exported.
    """

    path: Path
    modules: dict[str, nn.Module]
    rate: float
    steps: int
    warmup: int = 200
    keep: float = 0.998
    save_every: float = 120.0
    step: int = 0
    averaged: dict[str, Tensor] = field(default_factory=dict)
    recent: dict[str, deque[float]] = field(default_factory=dict)

    start: Path | None = None
    """A checkpoint of an earlier version to begin with where there is none at ``path`` yet; see `warm_start`."""

    settled: frozenset[str] = frozenset()
    """Children of the modules that have been trained before: they learn at SETTLED_PACE of the rate, new ones at all
    of it."""

    def __post_init__(self) -> None:
        groups = [group for module in self.modules.values() for group in self.groups(module)]
        self.optimizer = torch.optim.AdamW(groups, self.rate, betas=(0.9, 0.99), weight_decay=1e-3)
        self.console = Console()
        if self.path.exists():
            self.load()
        else:
            if self.start is not None:
                changed = warm_start(self.start, self.modules)
                parts = sorted({".".join(key.split(".")[:2]) for key in changed})
                self.console.print(f"begun with {self.start}; new or grown: {', '.join(parts) or 'nothing'}")
            self.averaged = {k: v.detach().clone() for k, v in self.state().items()}

    def groups(self, module: nn.Module) -> list[dict[str, Any]]:
        """A module's parameters by the pace at which they learn; one group where all are alike."""
        paces: dict[float, list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                pace = SETTLED_PACE if name.split(".")[0] in self.settled else 1.0
                paces.setdefault(pace, []).append(parameter)
        return [{"params": parameters, "pace": pace} for pace, parameters in paces.items()]

    def state(self) -> dict[str, Tensor]:
        """Every tensor of every module, prefixed with the module's name."""
        return {f"{name}.{key}": v for name, m in self.modules.items() for key, v in m.state_dict().items()}

    def mean_of(self, network: Network) -> Network:
        """A copy of one of the run's modules with averaged weights, for checking."""
        name = next(name for name, module in self.modules.items() if module is network)
        mean = copy.deepcopy(network)
        restore({name: mean}, self.averaged)
        return mean

    def load(self) -> None:
        """Go on where the checkpoint stands."""
        stored = torch.load(self.path, map_location="cpu", weights_only=True)
        restore(self.modules, stored["weights"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.averaged, self.step = stored["averaged"], int(stored["step"])
        self.console.print(f"resumed {self.path} at step {self.step}")

    def save(self) -> None:
        """Write the checkpoint beside the old one, then replace it."""
        part = self.path.with_suffix(".part")
        weights = {k: v.detach() for k, v in self.state().items()}
        optimizer = self.optimizer.state_dict()
        torch.save({"weights": weights, "averaged": self.averaged, "optimizer": optimizer, "step": self.step}, part)
        part.replace(self.path)

    def learning_rate(self) -> float:
        """At the present step."""
        if self.step < self.warmup:
            return self.rate * (self.step + 1) / self.warmup
        along = min(1.0, (self.step - self.warmup) / max(1, self.steps - self.warmup))
        return self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * along)))

    def update(self, loss: Tensor) -> None:
        """One optimiser step on ``loss``; a loss that is not finite is skipped, not learned from."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate() * group.get("pace", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        if torch.isfinite(loss):
            loss.backward()  # type: ignore[no-untyped-call]
            for module in self.modules.values():
                nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            self.optimizer.step()
        self.step += 1
        keep = min(self.keep, 1 - 1 / (self.step + 1))
        with torch.no_grad():
            for key, value in self.state().items():
                if value.dtype.is_floating_point:
                    self.averaged[key].lerp_(value, 1 - keep)
                else:
                    self.averaged[key].copy_(value)

    def train(self, batches: Iterator[dict[str, Tensor]], losses: Callable[[dict[str, Tensor]], Mapping[str, Tensor]],
              minutes: float, validate: Callable[[], str], validate_every: float = 300.0,
              beside: Sequence[Run] = ()) -> None:  # fmt: skip
        """Until ``steps`` or ``minutes`` are over, or Ctrl-C; always leaves a checkpoint.

        ``beside``: runs that ``losses`` itself updates (a discriminator); they are saved with this one.
        """
        begun = saved = validated = printed = time.monotonic()
        seen = 0
        try:
            while self.step < self.steps and time.monotonic() - begun < minutes * 60:
                batch = next(batches)
                parts = losses(batch)
                self.update(torch.stack(list(parts.values())).sum())
                seen += len(next(iter(batch.values())))
                for key, value in parts.items():
                    self.recent.setdefault(key, deque(maxlen=50)).append(float(value.detach()))
                now = time.monotonic()
                if now - printed > 20:
                    figures = "  ".join(f"{k} {sum(v) / len(v):.4f}" for k, v in self.recent.items())
                    rate = seen / (now - begun)
                    self.console.print(f"step {self.step}/{self.steps}  {rate:.0f}/s  {figures}", soft_wrap=True)
                    printed = now
                if now - saved > self.save_every:
                    for run in (self, *beside):
                        run.save()
                    saved = now
                if now - validated > validate_every:
                    self.console.print(f"[bold]step {self.step} validation: {validate()}", soft_wrap=True)
                    validated = time.monotonic()
        except KeyboardInterrupt:
            self.console.print("interrupted; run the same command to go on")
        for run in (self, *beside):
            run.save()
        self.console.print(f"[bold]step {self.step} validation: {validate()}", soft_wrap=True)


def restore(modules: Mapping[str, nn.Module], stored: Mapping[str, Tensor]) -> None:
    """Load prefixed tensors, as `Run.state` makes them, into the modules, strictly."""
    for name, module in modules.items():
        module.load_state_dict({k[len(name) + 1 :]: v for k, v in stored.items() if k.startswith(f"{name}.")})


def warm_start(path: Path, modules: Mapping[str, nn.Module]) -> list[str]:
    """Take over a checkpoint's averaged weights wherever names and shapes agree; gives the names that did not.

    A weight that only gained input channels (dimension 1) keeps the old ones in front and zeros for the new, so that
    the network still computes what it did. Whatever else is new keeps its initial values. Raises OSError.
    """
    stored = torch.load(path, map_location="cpu", weights_only=True)["averaged"]
    changed = []
    for name, module in modules.items():
        state = module.state_dict()
        for key, value in state.items():
            old = stored.get(f"{name}.{key}")
            if old is not None and old.shape == value.shape:
                state[key] = old.to(value.dtype)
                continue
            changed.append(f"{name}.{key}")
            if old is not None and grown_inputs(old, value):
                widened = torch.zeros_like(value)
                widened[:, : old.shape[1]] = old
                state[key] = widened
        module.load_state_dict(state)
    return changed


def grown_inputs(old: Tensor, new: Tensor) -> bool:
    """Whether the new weight is the old one with more input channels."""
    if old.ndim != new.ndim or new.ndim < 2 or new.shape[1] <= old.shape[1]:
        return False
    return old.shape[0] == new.shape[0] and old.shape[2:] == new.shape[2:]


def averaged(path: Path, modules: Mapping[str, nn.Module]) -> int:
    """Put a checkpoint's averaged weights into the modules, ready to be run; gives the step."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    restore(modules, stored["averaged"])
    for module in modules.values():
        module.eval()
    return int(stored["step"])
