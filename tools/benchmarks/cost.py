"""Exact costs of a training step: FLOPs, and bytes kept for the backward. Both repeat on any
machine."""

from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@contextmanager
def saved_activations(parameters):
    """Collects the storages that the forward keeps for the backward, parameters left out: a dict
    pointer -> bytes."""
    own = {p.untyped_storage().data_ptr() for p in parameters}
    storages, alive = {}, []  # alive: so that no pointer is given out twice

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield storages


def training_cost(model, inputs, data_samples):
    """Count one forward and backward of a model with ``loss``.

    Attention is forced to its math backend for the FLOPs, as the counter does not see the fused CPU
    kernel; bytes are counted with the kernels that would run.

    Args:
        model (nn.Module): With ``forward(inputs, data_samples, mode='loss')``.
        inputs (Tensor): (N, C, H, W).
        data_samples (list | None): With mask maps.

    Returns:
        dict: ``gflop`` and ``activation_mb`` (10 ** 6 bytes), both per image.
    """

    def loss():
        return sum(v for k, v in model(inputs, data_samples, mode='loss').items() if 'loss' in k)

    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss().backward()
    model.zero_grad()
    buffers = [b for b in model.buffers() if b.numel()]
    with saved_activations([*model.parameters(), *buffers, inputs]) as storages:
        value = loss()
    del value
    n = len(inputs)
    return dict(
        gflop=counter.get_total_flops() / n / 1e9, activation_mb=sum(storages.values()) / n / 1e6
    )
