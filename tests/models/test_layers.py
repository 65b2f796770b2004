"""Attention, fused and written out."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from mmum.models.layers import TransformerBlock, attend, norm_linear


@pytest.mark.parametrize('bias_batch', [None, 1, 3, 6])
def test_fused_and_written_out_are_equal(bias_batch):
    q, k, v = (torch.randn(6, 2, length, 8, requires_grad=True) for length in (5, 9, 9))
    bias = None if bias_batch is None else torch.randn(bias_batch, 2, 5, 9, requires_grad=True)
    inputs = [t for t in (q, k, v, bias) if t is not None]
    results = []
    for fused in (False, True):
        out = attend(q, k, v, bias, fused)
        results.append((out, *torch.autograd.grad(out.square().sum(), inputs)))
    for a, b in zip(*results):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_bias_repeats_over_the_images_of_a_batch():
    """Windows come image by image: window w of image n is n * windows + w."""
    q, k, v = torch.randn(3, 6, 2, 4, 8)
    bias = torch.randn(3, 2, 4, 4)
    for i in range(6):
        one = attend(q[i : i + 1], k[i : i + 1], v[i : i + 1], bias[i % 3][None])
        assert torch.allclose(attend(q, k, v, bias)[i], one[0], atol=1e-6)


def test_fewer_queries_are_the_last_ones():
    block, x = TransformerBlock(16, 4), torch.randn(2, 7, 16)
    assert torch.allclose(block(x)[:, -3:], block(x, num_queries=3), atol=1e-6)


def test_shared_tokens_come_behind_each_images_own():
    block, x, tokens = TransformerBlock(16, 4), torch.randn(2, 3, 16), torch.randn(1, 9, 16)
    index = torch.tensor([[1, 8], [0, 0]])
    everything = block(torch.cat([x, tokens[0][index]], 1))
    assert torch.allclose(block(x, (tokens, index)), everything, atol=1e-6)
    assert torch.allclose(block(x, (tokens, index), 2), everything[:, -2:], atol=1e-6)


def plain(norm, linear, x):
    return linear(F.gelu(norm(x)))


def lean_alike(norm, linear, x):
    return norm_linear(norm, x, linear.weight, linear.bias, F.gelu)


def test_lean_keeps_its_input_alone_and_changes_nothing():
    norm, linear, x = (
        torch.nn.LayerNorm(8),
        torch.nn.Linear(8, 4),
        torch.randn(5, 8, requires_grad=True),
    )
    results = []
    for run in (plain, lean_alike):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            out = run(norm, linear, x)
        sizes = sorted(
            {
                t.data_ptr(): t.numel() for t in kept if not isinstance(t, torch.nn.Parameter)
            }.values()
        )
        with FlopCounterMode(display=False) as counter:
            grads = torch.autograd.grad(
                out.square().sum(), [x, *norm.parameters(), *linear.parameters()]
            )
        results.append((sizes, counter.get_total_flops(), out, grads))
    assert max(results[0][0]) == 40 and len(results[0][0]) > 3
    assert [size for size in results[1][0] if size > 1] == [40]
    assert results[0][1] == results[1][1]  # the product is not repeated
    assert torch.equal(results[0][2], results[1][2])
    for a, b in zip(results[0][3], results[1][3]):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_lean_casts_as_autocast_does(dtype):
    """Also into the backward, which runs outside of autocast; gradients come in the types of what
    they are for."""
    norm, linear = torch.nn.LayerNorm(8), torch.nn.Linear(8, 4)
    for x in (torch.randn(5, 8), torch.randn(5, 8).to(dtype)):
        x.requires_grad_()
        results = []
        for run in (plain, lean_alike):
            with torch.autocast('cpu', dtype):
                out = run(norm, linear, x)
            learn = [x, *norm.parameters(), *linear.parameters()]
            results.append((out, *torch.autograd.grad(out.float().square().sum(), learn)))
        for a, b in zip(*results):
            assert a.dtype == b.dtype
            assert torch.allclose(a, b, atol=0.01 * a.abs().max().item())


@pytest.mark.parametrize('frozen', ['x', 'norm', 'linear', 'all but x'])
def test_lean_leaves_out_what_does_not_learn(frozen):
    norm, linear, x = (
        torch.nn.LayerNorm(8),
        torch.nn.Linear(8, 4),
        torch.randn(5, 8, requires_grad=frozen != 'x'),
    )
    norm.requires_grad_(frozen not in ('norm', 'all but x'))
    linear.requires_grad_(frozen not in ('linear', 'all but x'))
    grads = []
    for run in (plain, lean_alike):
        x.grad = None
        norm.zero_grad(), linear.zero_grad()
        run(norm, linear, x).square().sum().backward()
        grads.append([t.grad for t in (x, *norm.parameters(), *linear.parameters())])
    for a, b in zip(*grads):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, atol=1e-6)


def test_lean_without_a_bias():
    norm, linear, x = (
        torch.nn.LayerNorm(8),
        torch.nn.Linear(8, 4, bias=False),
        torch.randn(5, 8, requires_grad=True),
    )
    grads = [
        torch.autograd.grad(run(norm, linear, x).square().sum(), [x, linear.weight])
        for run in (plain, lean_alike)
    ]
    for a, b in zip(*grads):
        assert torch.allclose(a, b, atol=1e-6)
