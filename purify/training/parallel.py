"""One process or several: FSDP2 under `torchrun`, and nothing but plain torch without it.

torchrun --nproc-per-node 8 -m purify.train scored/ -o run/ --model checkpoint/
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist

from purify.errors import PurifyError
from purify.lm.policy import Policy


@dataclass(frozen=True)
class World:
    """The processes that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until all are here."""
        if self.size > 1:
            dist.barrier()

    def agree(self, failed: bool) -> bool:
        """Whether any process failed, so that all stop together and none waits for ever."""
        if self.size == 1:
            return failed
        flag = torch.tensor(float(failed), device=self.device)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag.item())

    def gather(self, value: object) -> list[object]:
        """The values of all processes, in order of their ranks."""
        if self.size == 1:
            return [value]
        found: list[object] = [None] * self.size
        dist.all_gather_object(found, value)
        return found


@contextmanager
def open_world(device: str) -> Iterator[World]:
    """The world that torchrun describes; alone, a world of one. Raises `PurifyError` for a device that is not there."""
    size, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    kind = ("cuda" if cuda else "cpu") if device == "auto" else device
    try:
        torch.device(kind)
    except RuntimeError:
        raise PurifyError(f"--device {device}: no such device; give auto, cpu, cuda or cuda:1") from None
    if kind.startswith("cuda") and not cuda:
        raise PurifyError(f"--device {device}: this torch sees no CUDA device; use --device cpu")
    if size == 1:
        yield World(0, 1, torch.device(kind))
        return
    place = torch.device("cuda", local) if kind.startswith("cuda") else torch.device("cpu")
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), size, place)
    finally:
        dist.destroy_process_group()


def shard(policy: Policy, world: World) -> None:
    """Split weights, gradients and optimizer state over the processes, layer by layer. Alone: nothing."""
    if world.size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(world.device.type, (world.size,))
    casts = MixedPrecisionPolicy(param_dtype=policy.compute_dtype, reduce_dtype=torch.float32)
    for layer in policy.base.get_decoder().layers:
        fully_shard(layer, mesh=mesh, mp_policy=casts)
    # Its inputs are ids, and temperatures that half precision would round.
    fully_shard(policy, mesh=mesh, mp_policy=replace(casts, cast_forward_inputs=False))
