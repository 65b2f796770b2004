"""UMViT: the contract, and parity with the authors' numbers."""

import pytest
import torch
from mmpretrain.registry import MODELS

from mmum.checkpoints import from_authors
from mmum.errors import InputError
from mmum.masking import sampled_units
from mmum.models.um_vit import UMViT
from tests.contract import BackboneContract
from tests.helpers import data_samples, golden, golden_mask, mask_maps

SMALL = dict(embed_dims=48, num_layers=3, num_heads=4, feedforward_channels=192)


class TestUMViT(BackboneContract):
    config = dict(type='UMViT', arch=SMALL, img_size=128)
    added = (dict(learn_positions=True),)
    first_stages = ('patch_embed', 'cls_token', 'secondary_token', 'blocks.0', 'blocks.1')

    def test_compact_is_half_of_dense_a_side(self):
        model = self.build(out_indices=(0, -1))
        for size in [(96, 160), *self.sizes]:  # multiples of 32 are enough: the stride is 16
            images = torch.randn(2, 3, *size)
            for a, b in zip(
                model(images), model(images, mask_maps(2, (size[0] // 16, size[1] // 16)))
            ):
                assert a.shape == (2, 48, size[0] // 16, size[1] // 16)
                assert b.shape == (2, 48, size[0] // 32, size[1] // 32)

    @pytest.mark.parametrize(
        'out_type, shape', [('cls_token', (2, 48)), ('avg_featmap', (2, 48)), ('raw', (2, 65, 48))]
    )
    def test_out_types(self, out_type, shape):
        assert self.build(out_type=out_type)(torch.randn(2, 3, 128, 128))[-1].shape == shape
        with pytest.raises(InputError, match="out_type='x'"):
            self.build(out_type='x')


def test_parity():
    numbers = golden('um_mae_vit_pretrain')
    weights = {k[7:]: v for k, v in numbers.items() if k.startswith('weight.')}
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(type='UMViT', arch=SMALL, out_type='raw'),
            neck=dict(type='UMDecoder', in_channels=48, embed_dims=32, num_heads=4, stride=16),
            head=dict(type='UMHead'),
        )
    )
    model.load_state_dict(from_authors(weights))
    images, mask = numbers['images'].float(), golden_mask(numbers)

    latent = model.backbone(images, mask)[-1]
    order = (
        sampled_units(mask).argsort(1)[..., None].expand(-1, -1, 48)
    )  # theirs are in unit raster order
    latent = torch.cat([latent[:, :1], latent[:, 1:].gather(1, order)], 1)
    assert torch.allclose(latent, numbers['latent'], atol=1e-4)
    assert torch.allclose(model.predict_removed(images, mask), numbers['pred_masked'], atol=1e-4)
    loss = model.loss(images, data_samples(mask))['loss']
    assert loss.item() == pytest.approx(numbers['loss'].item(), rel=1e-5)
    loss.backward()
    gradients = from_authors(
        {**weights, **{k[5:]: v for k, v in numbers.items() if k.startswith('grad.')}}
    )
    for name, parameter in model.named_parameters():
        assert (parameter.grad - gradients[name]).abs().max() <= 1e-4 * gradients[
            name
        ].abs().max(), name


def test_size_of_the_paper():
    with torch.device('meta'):
        assert sum(p.numel() for p in UMViT().parameters()) == pytest.approx(
            85.8e6, rel=0.01
        )  # ViT-B/16 without a head
