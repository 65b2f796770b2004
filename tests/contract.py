"""What every backbone of mmum promises: one class, dense and compact. Inherit and set the
attributes."""

import copy
import inspect
import pickle

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mmum.errors import InputError
from mmum.masking import REMOVED, SECONDARY, gather_units, scatter_units
from tests.helpers import mask_maps


class BackboneContract:
    """Subclasses set ``config`` (a small backbone), ``stages`` and ``sizes`` (image sizes that can
    be masked)."""

    config = None
    sizes = [(128, 128), (64, 192)]
    # options that add parameters to the embedding
    added = ()
    # names of what ``frozen_stages=2`` freezes
    first_stages = ('patch_', 'secondary_token', 'stages.0', 'stages.1')

    def build(self, **options):
        model = MODELS.build({**self.config, **options})
        model.init_weights()
        return model.eval()

    @pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet'])
    def test_both_scopes_find_it(self, scope):
        from mmdet.registry import MODELS as DETECTORS
        from mmpretrain.registry import MODELS as CLASSIFIERS

        registry = dict(mmpretrain=CLASSIFIERS, mmdet=DETECTORS)[scope]
        with DefaultScope.overwrite_default_scope(scope):
            assert type(registry.build(self.config)).__name__ == self.config['type']

    def test_compact_is_half_of_dense_a_side(self):
        model = self.build(out_indices=(0, 1, 2, 3))
        for size in self.sizes:
            images = torch.randn(2, 3, *size)
            dense, compact = (
                model(images),
                model(images, mask_maps(2, (size[0] // 16, size[1] // 16))),
            )
            for i, (a, b) in enumerate(zip(dense, compact)):
                assert a.shape[2:] == (size[0] // 4 // 2**i, size[1] // 4 // 2**i)
                assert b.shape[:2] == a.shape[:2] and b.shape[2:] == (
                    a.shape[2] // 2,
                    a.shape[3] // 2,
                )

    @pytest.mark.parametrize('channels', [1, 2, 5])
    def test_any_number_of_channels(self, channels):
        model = self.build(in_channels=channels)
        assert model(torch.randn(1, channels, 64, 64), mask_maps(1, (4, 4)))[0].isfinite().all()

    def test_only_visible_pixels_matter(self):
        """Whatever stands in removed and secondary units, the features are the same to the bit."""
        model = self.build()
        images, mask = torch.randn(2, 3, 128, 128), mask_maps(2, (8, 8))
        hidden = (mask != 0)[:, None].repeat_interleave(16, 2).repeat_interleave(16, 3)
        other = torch.where(hidden, torch.randn_like(images), images)
        assert torch.equal(model(images, mask)[-1], model(other, mask)[-1])
        assert not torch.equal(model(images, mask)[-1], model(images + 1, mask)[-1])

    def test_the_secondary_token_is_used_where_units_are_secondary(self):
        model = self.build()
        images, mask = torch.randn(1, 3, 128, 128), mask_maps(1, (8, 8))
        before, none = model(images, mask)[-1], model(images, mask.where(mask != SECONDARY, 0))[-1]
        with torch.no_grad():
            model.secondary_token += 1
        assert not torch.allclose(before, model(images, mask)[-1])
        assert torch.equal(none, model(images, mask.where(mask != SECONDARY, 0))[-1])

    def test_where_a_unit_came_from_matters(self):
        """The same compact pixels, sampled at other places, give other features: positions are true
        ones."""
        model = self.build()
        one, other = mask_maps(2, (8, 8), secondary_ratio=0)[:, None]
        images = torch.randn(1, 3, 128, 128)
        moved = scatter_units(gather_units(images, one), other)
        assert torch.equal(gather_units(moved, other), gather_units(images, one))
        assert not torch.allclose(model(images, one)[-1], model(moved, other)[-1], atol=1e-5)

    @pytest.mark.parametrize('masked', [False, True])
    def test_batch_mates_and_order_do_not_matter(self, masked):
        model = self.build()
        images, mask = torch.randn(3, 3, 128, 128), mask_maps(3, (8, 8)) if masked else None
        together = model(images, mask)[-1]
        alone = torch.cat(
            [model(images[i : i + 1], mask[i : i + 1] if masked else None)[-1] for i in range(3)]
        )
        assert torch.allclose(together, alone, atol=1e-5)

    @pytest.mark.parametrize('masked', [False, True])
    def test_equal_inputs_give_equal_outputs_in_training(self, masked):
        model = self.build().train()
        images, mask = torch.randn(2, 3, 64, 64), mask_maps(2, (4, 4)) if masked else None
        assert torch.equal(model(images, mask)[-1], model(images, mask)[-1])

    @pytest.mark.parametrize('masked', [False, True])
    def test_every_parameter_has_a_gradient(self, masked):
        """DDP stops at parameters without one."""
        model = self.build().train()
        model(torch.randn(1, 3, 64, 64), mask_maps(1, (4, 4)) if masked else None)[
            -1
        ].square().sum().backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]

    @pytest.mark.parametrize('masked', [False, True])
    def test_activation_checkpointing_changes_nothing(self, masked):
        plain = self.build().train()
        lean = self.build(with_cp=True).train()
        lean.load_state_dict(plain.state_dict())
        images, mask = torch.randn(1, 3, 64, 64), mask_maps(1, (4, 4)) if masked else None
        for model in (plain, lean):
            model(images, mask)[-1].square().sum().backward()
        for (name, a), b in zip(plain.named_parameters(), lean.parameters()):
            assert torch.allclose(a.grad, b.grad, atol=1e-6 * a.grad.abs().max()), name

    def test_torch_exports_it(self):
        """For deployment: torch.export sees through what the training does to save memory."""
        model, images = self.build().eval(), torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            exported = torch.export.export(model, (images,)).module()
            for a, b in zip(model(images), exported(images)):
                assert torch.allclose(a, b, atol=1e-5)

    def test_frozen_stages_do_not_learn(self):
        model = self.build(frozen_stages=2).train()
        model(torch.randn(1, 3, 64, 64))[-1].square().sum().backward()
        frozen = {name for name, p in model.named_parameters() if p.grad is None}
        assert frozen == {
            name for name, _ in model.named_parameters() if name.startswith(self.first_stages)
        }

    def test_options_that_add_parameters_are_frozen_too(self):
        """Whatever an option adds to the embedding does not learn once it is frozen."""
        plain = {name for name, _ in self.build().named_parameters()}
        for option in self.added:
            model = self.build(**option, frozen_stages=0).train()
            added = {name for name, _ in model.named_parameters()} - plain
            assert added, f'{option} adds no parameter'
            assert not [n for n, p in model.named_parameters() if n in added and p.requires_grad]

    def test_options_that_may_add_parameters_are_listed(self):
        """A new switch of a backbone has to be looked at: is it among those that add parameters?"""
        switches = {
            name
            for name, parameter in inspect.signature(type(self.build())).parameters.items()
            if isinstance(parameter.default, bool)
        }
        assert switches <= {
            'compact',
            'with_cp',
            'pad_small_map',
            *(k for o in self.added for k in o),
        }

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float64])
    def test_other_types_of_weights(self, dtype):
        """Deployed in half precision, or checked in double: dense and masked."""
        model = self.build()
        images, mask = torch.randn(1, 3, 128, 128), mask_maps(1, (8, 8))
        expected = [model(images)[-1], model(images, mask)[-1]]
        model.to(dtype)
        for m, exact in zip((None, mask), expected):
            out = model(images.to(dtype), m)[-1]
            assert out.dtype == dtype
            assert (out.float() - exact).norm() / exact.norm() < 0.1

    def test_out_indices(self):
        """Negative ones count from the end, one number will do; anything else is refused."""
        number = len(self.build().depths)
        images = torch.randn(1, 3, 64, 64)
        last = self.build(out_indices=(number - 1,))
        for same in ((-1,), number - 1, -1):
            model = self.build(out_indices=same)
            model.load_state_dict(last.state_dict())
            assert torch.equal(model(images)[0], last(images)[0])
        for wrong in ((number,), (-number - 1,), (0, 0), ('a',), ()):
            with pytest.raises(
                InputError, match='out_indices=.* should be different whole numbers'
            ):
                self.build(out_indices=wrong)

    def test_heads_that_do_not_divide_the_width(self):
        arch = dict(self.config['arch']) if isinstance(self.config.get('arch'), dict) else None
        if arch is None:
            pytest.skip('an arch by name')
        heads = arch['num_heads']
        arch['num_heads'] = 5 if isinstance(heads, int) else (3, *heads[1:])
        with pytest.raises(InputError, match='heads do not divide'):
            MODELS.build({**self.config, 'arch': arch})

    def test_copies_and_pickles(self):
        model, images = self.build(), torch.randn(1, 3, 64, 64)
        for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(copied(images)[-1], model(images)[-1])

    def test_layer_depth_of_a_head_is_the_last(self):
        model = self.build()
        depth, number = model.get_layer_depth('head.fc.weight', 'backbone.')
        assert depth == number - 1

    @pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
    def test_autocast_stays_close(self, dtype):
        model = self.build()
        images, mask = torch.randn(1, 3, 128, 128), mask_maps(1, (8, 8))
        for m in (mask, None):
            exact = model(images, m)[-1]
            with torch.autocast('cpu', dtype):
                rough = model(images, m)[-1]
            assert (rough.float() - exact).norm() / exact.norm() < 0.05

    def test_without_compact_a_mask_hides_but_removes_nothing(self):
        """``compact=False``, for SimMIM: the whole map, and only visible pixels matter."""
        if 'compact' not in inspect.signature(MODELS.get(self.config['type'])).parameters:
            pytest.skip(f'{self.config["type"]} has no dense pre-training')
        model = self.build(compact=False)
        images, mask = torch.randn(2, 3, 128, 128), (torch.rand(2, 8, 8) < 0.75).to(torch.uint8)
        hidden = mask.bool()[:, None].repeat_interleave(16, 2).repeat_interleave(16, 3)
        features = model(images, mask)[-1]
        assert features.shape == model(images)[-1].shape
        assert torch.equal(
            features, model(torch.where(hidden, torch.randn_like(images), images), mask)[-1]
        )
        assert torch.equal(model(images, torch.zeros_like(mask))[-1], model(images)[-1])
        assert not torch.allclose(features, model(images)[-1])

    def test_bad_sizes_and_masks(self):
        model = self.build()
        with pytest.raises(InputError, match='100x128'):
            model(torch.randn(1, 3, 100, 128), mask_maps(1, (8, 8)))
        with pytest.raises(InputError, match='does not fit'):
            model(torch.randn(1, 3, 128, 128), mask_maps(1, (4, 4)))
        with pytest.raises(InputError, match='not exactly one'):
            model(torch.randn(1, 3, 64, 64), torch.full((1, 4, 4), REMOVED))

    def test_unknown_arch(self):
        with pytest.raises(InputError, match="'gigantic'.*choose one of"):
            MODELS.build({**self.config, 'arch': 'gigantic'})

    def test_layer_depths_cover_all_parameters_in_order(self):
        model = self.build()
        depths = {name: model.get_layer_depth(name) for name, _ in model.named_parameters()}
        number = {total for _, total in depths.values()}
        assert len(number) == 1
        assert {depth for depth, _ in depths.values()} == set(range(number.pop()))
        assert model.get_layer_depth('backbone.patch_embed.weight', 'backbone.')[0] == 0
