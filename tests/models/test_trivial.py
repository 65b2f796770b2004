"""Answers that need no learning, against loops; their scores are in the units of the loss."""

import re

import pytest
import torch

from mmum.engine import trivial_hook
from mmum.engine.trivial_hook import TrivialAnswersHook
from mmum.masking import VISIBLE
from mmum.models import UMHead, trivial
from mmum.models.trivial import interpolation, mean_colour, own_colour, trivial_losses
from tests.helpers import build_um_mae, data_samples, mask_maps


def visible_units(image, mask):
    """(centre row, centre column, mean colour) of every visible unit."""
    return [
        (r + 0.5, c + 0.5, image[:, 16 * r : 16 * r + 16, 16 * c : 16 * c + 16].mean((1, 2)))
        for r in range(mask.shape[0])
        for c in range(mask.shape[1])
        if mask[r, c] == VISIBLE
    ]


def test_both_answers_unit_by_unit():
    images, mask = torch.rand(2, 3, 64, 128), mask_maps(2, (4, 8))
    flat, between = mean_colour(images, mask), interpolation(images, mask)
    for n in range(2):
        units = visible_units(images[n], mask[n])
        expected = torch.stack([colour for *_, colour in units]).mean(0)
        assert torch.allclose(flat[n], expected[:, None, None].expand(3, 64, 128), atol=1e-5)
        for y, x in ((0, 0), (13, 77), (40, 8), (63, 127)):
            place = ((y + 0.5) / 16, (x + 0.5) / 16)
            weights = [1 / ((place[0] - r) ** 2 + (place[1] - c) ** 2) for r, c, _ in units]
            total = sum(w * colour for w, (*_, colour) in zip(weights, units))
            assert torch.allclose(between[n, :, y, x], total / sum(weights), atol=1e-5)


def test_they_see_nothing_but_visible_units():
    images, mask = torch.rand(1, 3, 64, 64), mask_maps(1, (4, 4))
    hidden = (mask != VISIBLE)[:, None].repeat_interleave(16, 2).repeat_interleave(16, 3)
    others = torch.where(hidden, torch.rand(1, 3, 64, 64), images)
    for fill in (mean_colour, interpolation):
        assert torch.equal(fill(images, mask), fill(others, mask))


@pytest.mark.parametrize('norm_pix', [True, False])
def test_their_scores_are_losses(norm_pix):
    """Those of a model that answers so."""
    head, images, mask = UMHead(norm_pix=norm_pix), torch.rand(3, 3, 64, 64), mask_maps(3, (4, 4))
    scores = trivial_losses(head, images, mask)
    for name, fill in dict(mean_colour=mean_colour, interpolation=interpolation).items():
        pred = head.target(fill(images, mask), mask)  # units as a model would predict them
        assert scores[name].mean().item() == pytest.approx(head.loss(pred, images, mask).item())
    grey = torch.full((1, 3, 64, 64), 0.3)
    assert all(score.item() < 1e-6 for score in trivial_losses(head, grey, mask[:1]).values())


def test_units_in_parts(monkeypatch):
    images, mask = torch.rand(1, 3, 64, 128), mask_maps(1, (4, 8))
    whole = interpolation(images, mask)
    monkeypatch.setattr(trivial, 'MAX_NUMBERS', 1)
    assert torch.allclose(interpolation(images, mask), whole, atol=1e-6)


def test_a_smooth_image_is_interpolated_better_than_painted():
    ramp = torch.linspace(0, 1, 128).expand(1, 3, 128, 128)
    scores = trivial_losses(UMHead(norm_pix=False), ramp, mask_maps(1, (8, 8)))
    assert scores['interpolation'] < 0.5 * scores['mean_colour']


@pytest.mark.parametrize('norm_pix', [True, False])
def test_no_single_colour_per_unit_is_better_than_its_own(norm_pix):
    head, images, mask = UMHead(norm_pix=norm_pix), torch.rand(1, 3, 64, 64), mask_maps(1, (4, 4))
    target = head.target(images, mask)
    score = trivial_losses(head, images, mask)['own_colour'].item()
    # by a gradient, from black
    colours = torch.zeros(1, target.shape[1], 1, 3, requires_grad=True)
    for _ in range(100):
        pixels = colours.expand(-1, -1, 256, -1).flatten(2)
        loss = head.loss(pixels, images, mask)
        (gradient,) = torch.autograd.grad(loss, colours)
        colours = (colours - 0.25 * target.numel() / 256 * gradient).detach().requires_grad_()
    assert score == pytest.approx(loss.item(), rel=1e-4)
    # a unit of one colour is its own colour; one of two halves is not
    flat = torch.rand(1, 3, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    assert trivial_losses(head, flat, mask)['own_colour'].item() < 1e-3
    assert torch.equal(
        own_colour(torch.tensor([[[1.0, 10, 3, 30]]]), 2)[0, 0], torch.tensor([2.0, 20, 2, 20])
    )


def test_grey_images_and_means_that_differ_by_channel():
    """A grey image has one colour per unit where the means of its channels differ: most of what is
    to be predicted."""
    grey = (20 + 5 * torch.rand(1, 1, 64, 64)).expand(-1, 3, -1, -1)
    head, mask = UMHead(), mask_maps(1, (4, 4))
    means = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    imagenet = trivial_losses(head, (grey - means) / 57.6, mask)['own_colour'].item()
    equal = trivial_losses(head, (grey - 114.5) / 57.6, mask)['own_colour'].item()
    assert imagenet < 0.05 and equal > 0.95


def test_testing_gives_them_for_every_image():
    model, images, mask = build_um_mae(), torch.rand(2, 3, 64, 64), mask_maps(2, (4, 4))
    samples = model(images, data_samples(mask), mode='predict')
    scores = trivial_losses(model.head, images, mask)
    for n, sample in enumerate(samples):
        assert sample.mean_colour_loss == pytest.approx(scores['mean_colour'][n].item())
        assert sample.interpolation_loss == pytest.approx(scores['interpolation'][n].item())
        assert sample.own_colour_loss == pytest.approx(scores['own_colour'][n].item())


@pytest.mark.parametrize(
    'loss, sentence',
    [
        (0.2, 'not yet better than painting removed units in the mean colour .* lower optim_wr'),
        (0.12, 'better than the mean colour, not yet than interpolation; structure is not certain'),
        (
            0.1,
            r'better .*, and than interpolation; structure is not certain: .* \(loss 0.1000, mean',
        ),
        (0.08, 'and than interpolation; and it predicts structure: .* own colour 0.0900'),
    ],
)
def test_what_it_means(loss, sentence, monkeypatch):
    said = []
    monkeypatch.setattr(trivial_hook, 'print_log', lambda text, *_: said.append(text))
    hook = TrivialAnswersHook()
    hook.after_train(None)
    assert not said  # nothing was scored
    hook.scores.extend([(9.0, 9.0, 9.0, 9.0)] * 7)  # long ago
    hook.scores.extend([(loss - 0.01, 0.134, 0.125, 0.1), (loss + 0.01, 0.114, 0.105, 0.08)] * 5)
    hook.after_train(None)
    assert len(said) == 1 and re.search(sentence, said[0])
