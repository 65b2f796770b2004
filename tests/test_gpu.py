"""What only a GPU can show. Skipped without one."""

import pytest
import torch
from safetensors.torch import load_file

from mmum.models import UMPVT, UMStockSwin, UMSwin, UMViT
from tests.helpers import mask_maps, run_tool

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU'),
]
BACKBONES = dict(
    swin=lambda: UMSwin('tiny', window_size=8, compact=True, dense_window_size=16),
    stock_swin=lambda: UMStockSwin('tiny', window_size=8, pad_small_map=True),
    pvt=lambda: UMPVT('small', compact=True),
    vit=lambda: UMViT('base', img_size=128),
)


@pytest.mark.parametrize('name', BACKBONES)
def test_features_and_gradients_are_those_of_the_cpu(name):
    """In float64, dense and on the compact image; the bias tables too, whose gradient is summed in
    another way there."""
    torch.manual_seed(0)
    model = BACKBONES[name]().double().eval()
    images, mask = torch.randn(2, 3, 128, 128, dtype=torch.float64), mask_maps(2, (8, 8))
    for where in (None, mask):
        gradients = []
        for device in ('cpu', 'cuda'):
            model.to(device).zero_grad()
            torch.manual_seed(1)
            outs = model(images.to(device), None if where is None else where.to(device))
            tensors = [out for out in outs if isinstance(out, torch.Tensor)]
            # not their squares: those of normed features sum up to the same whatever the weights
            weights = [torch.randn(out.shape, dtype=torch.float64) for out in tensors]
            sum((out * w.to(device)).mean() for out, w in zip(tensors, weights)).backward()
            gradients.append(
                {n: p.grad.cpu().clone() for n, p in model.named_parameters() if p.grad is not None}
            )
        assert gradients[0].keys() == gradients[1].keys() and gradients[0]
        largest = {key: gradient.abs().max() for key, gradient in gradients[0].items()}
        # some are zero but for rounding: a bias that all logits of a query share
        least = 1e-3 * torch.stack([*largest.values()]).median()
        for key, gradient in gradients[0].items():
            difference = (gradient - gradients[1][key]).abs().max()
            assert difference < 1e-8 * max(largest[key], least), key


def train(mini, folder, *arguments):
    run_tool(
        'tools/train.py',
        'configs/selfsup/um_mae_swin_nano_mini.py',
        '--amp',
        '--work-dir',
        folder,
        *arguments,
        '--cfg-options',
        f'data_root={mini}/unlabelled',
        'train_dataloader.batch_size=8',
        'default_hooks.checkpoint.interval=4',
        'randomness.deterministic=True',
        CUBLAS_WORKSPACE_CONFIG=':4096:8',
    )
    return load_file(folder / 'backbone.safetensors')


def test_runs_repeat_to_the_bit_also_resumed(mini, tmp_path):
    one = train(mini, tmp_path / 'one')
    other = train(mini, tmp_path / 'other')
    assert all(torch.equal(one[key], other[key]) for key in one)
    checkpoints = sorted(path.name for path in (tmp_path / 'other').glob('epoch_*.pth'))
    assert len(checkpoints) == 3, checkpoints
    for path in (tmp_path / 'other').glob('epoch_1[24].pth'):
        path.unlink()
    (tmp_path / 'other' / 'last_checkpoint').unlink()
    resumed = train(mini, tmp_path / 'other', '--resume')
    assert all(torch.equal(one[key], resumed[key]) for key in one)


@pytest.mark.parametrize('dtype', ['fp16', 'bf16'])
def test_a_detector_trains_in_half_precision(dtype, mini, tmp_path):
    arguments = [
        'tools/train.py',
        'configs/detection/mask-rcnn_um-swin-nano_fpn_mini.py',
        '--epochs',
        2,
        '--work-dir',
        tmp_path / 'detector',
    ]
    options = ['--cfg-options', f'data_root={mini}/', 'default_hooks.logger.interval=1']
    output = run_tool(*arguments, '--amp', dtype, *options).stdout
    assert 'coco/segm_mAP' in output and 'loss: nan' not in output
