"""Exact costs: the counters themselves, and what a Swin-T may cost."""

import pytest
import torch
from benchmarks.compare import batch, build
from benchmarks.cost import training_cost
from torch import nn


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 16, bias=False), nn.Linear(16, 4, bias=False)

    def forward(self, inputs, data_samples, mode):
        return dict(loss=self.b(self.a(inputs).relu()).sum())


def test_counts_by_hand():
    cost = training_cost(Toy(), torch.randn(5, 8), None)
    # forward: 2 products; backward: both weights' gradients, and that of the input of b
    assert cost['gflop'] * 1e9 == 2 * (8 * 16 + 16 * 4) + 2 * (8 * 16 + 16 * 4) + 2 * 16 * 4
    assert (
        cost['activation_mb'] * 1e6 == 4 * 16
    )  # the output of relu; not the weights, nor the images


@pytest.mark.slow
@pytest.mark.parametrize('size, images, most', [('T', 8, 12.2), ('L', 2, 82)])
def test_the_cross_decoder_stays_as_lean_as_it_is(size, images, most):
    model, data = build('um_cross_mae', size, 'cpu'), batch('um_cross_mae', images, 256, 'cpu')
    assert training_cost(model, *data)['gflop'] <= most


@pytest.mark.slow
def test_swin_t_stays_as_lean_as_it_is():
    cost = training_cost(build('um_mae', 'T', 'cpu'), *batch('um_mae', 8, 256, 'cpu'))
    assert cost['gflop'] <= 18.2 and cost['activation_mb'] <= 45
