"""Helpers of several tests."""

import contextlib
import io
import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from mmengine.visualization import Visualizer
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmum.masking import REMOVED, SECONDARY, VISIBLE, sample_mask_map

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / 'shared'
SMALL_ARCH = dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))


def golden(name):
    """The authors' numbers, or a skip where the files are absent."""
    from safetensors.torch import load_file

    path = SHARED / 'golden' / f'{name}.safetensors'
    if not path.exists():
        pytest.skip(f'reference numbers are absent: {path.name}')
    return load_file(path)


def golden_mask(numbers):
    """The mask map of a golden file, square."""
    mask = torch.full(numbers['mask'].shape, VISIBLE, dtype=torch.uint8)
    mask[numbers['secondary']] = SECONDARY
    mask[numbers['mask']] = REMOVED
    side = int(mask.shape[1] ** 0.5)
    return mask.view(-1, side, side)


def read_rgb(path):
    """A picture as RGB."""
    return cv2.imread(str(path))[..., ::-1]


def mask_maps(n, grid, secondary_ratio=0.25):
    """Mask maps of a batch."""
    return torch.stack([torch.from_numpy(sample_mask_map(grid, secondary_ratio)) for _ in range(n)])


def data_samples(mask):
    """Data samples that hold these mask maps."""
    return [DataSample().set_mask(one) for one in mask]


def free_port():
    """A port for the ranks of a test."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return str(server.getsockname()[1])


def run_tool(*args, cwd=ROOT, check=True, timeout=None, **env):
    """Runs a tool as a user does; returns the finished process with stdout and stderr as text."""
    program = 'bash' if str(args[0]).endswith('.sh') else sys.executable
    result = subprocess.run(
        [program, *map(str, args)],
        cwd=cwd,
        text=True,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, 'OMP_NUM_THREADS': '2', 'PYTHON': sys.executable, **env},
    )
    if check:
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def call_tool(*args):
    """Runs a tool in this process, which is spared the imports: exit code and all output."""
    for kind in (
        MMLogger,
        MessageHub,
        DefaultScope,
        Visualizer,
        *Visualizer.__subclasses__(),
        *(two for one in Visualizer.__subclasses__() for two in one.__subclasses__()),
    ):  # each run has its own
        kind._instance_dict.clear()
    read = dict(CheckpointLoader._schemes)
    output = io.StringIO()
    argv, sys.argv = sys.argv, [str(arg) for arg in args]
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            runpy.run_path(str(ROOT / sys.argv[0]), run_name='__main__')
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
        CheckpointLoader._schemes = read
        MMLogger._instance_dict.clear()  # its handlers end here
    return code, output.getvalue()


def output_of(*args):
    """The output of a tool that does its work, in this process."""
    code, output = call_tool(*args)
    assert code == 0, output[-3000:]
    return output


class Evil:
    def __reduce__(self):
        return os.system, ('touch should_not_exist',)


# Options that make the trainings of the mini set small.
SMALL_PRETRAINING = [
    'model.backbone.arch.embed_dims=16',
    'model.backbone.arch.num_heads=[1,2,4,8]',
    'model.neck.in_channels=128',
    'model.neck.embed_dims=32',
    'train_dataloader.batch_size=4',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=1',
    'train_cfg.max_epochs=2',
]
SMALL_DETECTOR = [
    'model.backbone.arch.embed_dims=16',
    'model.backbone.arch.num_heads=[1,2,4,8]',
    'model.neck.in_channels=[16,32,64,128]',
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'default_hooks.checkpoint.interval=1',
    'default_hooks.logger.interval=1',
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')),
]

# A small arch of every backbone.
SMALL_PVT = dict(
    embed_dims=(16, 32, 64, 128),
    depths=(2, 2, 2, 2),
    num_heads=(1, 2, 4, 8),
    mlp_ratios=(4, 4, 4, 4),
)
SMALLER = dict(
    UMSwin=dict(arch=SMALL_ARCH),
    UMStockSwin=dict(arch=SMALL_ARCH),
    UMPVT=dict(
        arch=dict(
            embed_dims=(16, 32, 64, 128),
            depths=(1, 1, 1, 1),
            num_heads=(1, 2, 4, 8),
            mlp_ratios=(2, 2, 2, 2),
        )
    ),
    UMViT=dict(arch=dict(embed_dims=128, num_layers=2, num_heads=4, feedforward_channels=128)),
    SimMIMSwinTransformer=dict(
        arch=dict(embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8))
    ),
    MAEViT=dict(arch=dict(embed_dims=128, num_layers=2, num_heads=4, feedforward_channels=128)),
)


def shrink(cfg):
    """Give the model of a config a small backbone, and its decoder the channels of that."""
    backbone, neck = cfg.model.backbone, cfg.model.get('neck')
    backbone.update(SMALLER[backbone.type])
    if cfg.get('default_scope') == 'mmseg':
        cfg.model.decode_head.update(in_channels=[16, 32, 64, 128], channels=16)
        cfg.model.auxiliary_head.in_channels = 64
    if not neck or cfg.get('default_scope') in ('mmdet', 'mmseg'):
        return
    if neck.get('stages'):
        is_vit = backbone.type == 'UMViT'
        neck.stages = (0, 1) if is_vit else neck.stages
        neck.in_channels = [128 if is_vit else 16 * 2**stage for stage in neck.stages]
    elif cfg.model.type in ('UMMAE', 'SimMIM', 'MAE'):
        neck['embed_dim' if cfg.model.type == 'MAE' else 'in_channels'] = 128


def build_um_mae(
    arch=SMALL_ARCH, visible_positions='aligned', pos_mlp_dims=8, channels=3, norm_pix=True
):
    model = MODELS.build(
        dict(
            type='UMMAE',
            backbone=dict(
                type='UMSwin', arch=arch, pos_mlp_dims=pos_mlp_dims, in_channels=channels
            ),
            neck=dict(
                type='UMDecoder',
                in_channels=128,
                embed_dims=32,
                depth=2,
                num_heads=4,
                out_channels=channels,
                visible_positions=visible_positions,
            ),
            head=dict(type='UMHead', norm_pix=norm_pix),
        )
    )
    model.init_weights()
    return model


# A training that is interrupted.
CONFIG = """
_base_ = '{root}/configs/selfsup/um_mae_swin_nano_mini.py'
custom_imports = dict(imports=['mmum', 'tests.faults'])
data_root = '{data}'
model = dict(backbone=dict(arch=dict(embed_dims=16, num_heads=(1, 2, 4, 8)), drop_path_rate=0.3),
             neck=dict(in_channels=128, embed_dims=32))
train_pipeline = [dict(type='Count', file='{loaded}'), *_base_.train_pipeline]
train_dataloader = dict(
    batch_size=4, num_workers={workers}, dataset=dict(data_root=data_root, pipeline=train_pipeline))
log_processor = dict(window_size=1)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval={interval}))
custom_hooks = [{hooks}]
"""
BY_EPOCH = 'train_cfg = dict(max_epochs=3)'  # of 4 steps
BY_ITERATION = """
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=12)
train_dataloader['sampler'] = dict(type='InfiniteSampler', _delete_=True)
default_hooks['checkpoint']['by_epoch'] = False
log_processor['by_epoch'] = False
"""


def write_config(folder, data, loop, workers=0, hooks='', interval=None):
    path = folder / 'config.py'
    interval = interval or (4 if loop is BY_ITERATION else 1)
    loaded = folder / 'loaded.txt'
    loaded.unlink(missing_ok=True)
    path.write_text(
        CONFIG.format(
            root=ROOT,
            data=data / 'unlabelled',
            workers=workers,
            hooks=hooks,
            loaded=loaded,
            interval=interval,
        )
        + loop
    )
    return path


def curve(work_dir):
    """What was logged, by iteration; a step that was made twice must have been the same."""
    found = {}
    for log in sorted(work_dir.glob('*/vis_data/2*.json')):
        for line in map(json.loads, log.read_text().splitlines()):
            if 'loss' in line:
                values = {key: line[key] for key in ('loss', 'lr', 'grad_norm')}
                assert found.setdefault(line['step'], values) == values
    return found


def write_odd_images(folder):
    """Files of every kind: name -> whether a training replaces them."""
    from PIL import Image, TiffImagePlugin

    random = np.random.RandomState(0)
    rgb = Image.fromarray(random.randint(0, 255, (64, 80, 3), np.uint8).astype(np.uint8))
    rgb.save(folder / 'fine.jpg')
    rgb.save(folder / 'mislabelled.jpg', 'png')
    rgb.convert('CMYK').save(folder / 'cmyk.jpg')
    rgb.convert('P').save(folder / 'palette.png')
    rgb.convert('RGBA').save(folder / 'alpha.png')
    rgb.convert('L').save(folder / 'grey.jpg')
    Image.fromarray((random.rand(64, 80) * 60000).astype(np.uint16)).save(folder / 'deep.png')
    Image.new('RGB', (1, 1)).save(folder / 'pixel.jpg')
    Image.new('RGB', (30000, 20)).save(folder / 'wide.jpg')
    (folder / 'empty.jpg').write_bytes(b'')
    (folder / 'text.jpg').write_text('no image')
    (folder / 'cut.jpg').write_bytes((folder / 'fine.jpg').read_bytes()[:1500])
    (folder / 'cut.png').write_bytes((folder / 'palette.png').read_bytes()[:1500])
    (folder / 'gone.jpg').symlink_to(folder / 'nowhere.jpg')
    deep = (random.rand(64, 80, 4) * 4095).astype(np.uint16)  # 12 bits in 16
    cv2.imwrite(str(folder / 'deep_colour.png'), deep[..., :3])
    cv2.imwrite(str(folder / 'deep_alpha.png'), deep)
    cv2.imwrite(str(folder / 'deep_colour.tif'), deep[..., :3])
    cv2.imwrite(str(folder / 'deep_bands.tif'), deep)
    cv2.imwrite(str(folder / 'floating.tif'), deep[..., 0].astype(np.float32))
    rgb.save(folder / 'colour.tif')
    rgb.convert('L').save(folder / 'grey.tif')
    rgb.convert('CMYK').save(folder / 'cmyk.tif')
    rgb.save(folder / 'stack.tif', save_all=True, append_images=[rgb, rgb])
    signed = TiffImagePlugin.ImageFileDirectory_v2()
    signed[339] = 2
    rgb.convert('L').save(folder / 'signed.tif', tiffinfo=signed)
    bad = {
        'deep.png',
        'deep_colour.png',
        'deep_alpha.png',
        'deep_colour.tif',
        'deep_bands.tif',
        'floating.tif',
        'stack.tif',
        'signed.tif',
        'pixel.jpg',
        'wide.jpg',
        'empty.jpg',
        'text.jpg',
        'cut.jpg',
        'cut.png',
        'gone.jpg',
    }
    return {path.name: path.name in bad for path in folder.iterdir()}


def write_download(folder, count):
    """``stage1_train/`` of nuclei: images of three kinds, each with two nuclei."""
    root = folder / 'stage1_train'
    random = np.random.default_rng(0)
    for index in range(count):
        image_folder = root / f'{index:02x}{"ab" * 31}'[:64]
        (image_folder / 'images').mkdir(parents=True)
        (image_folder / 'masks').mkdir()
        base = [(10, 10, 10), (220, 220, 220), (190, 120, 200)][index % 3]
        image = np.full((40, 56, 3), base, np.uint8) + random.integers(0, 4, (40, 56, 1), np.uint8)
        cv2.imwrite(str(image_folder / 'images' / f'{image_folder.name}.png'), image)
        for number in range(2):
            mask = np.zeros((40, 56), np.uint8)
            mask[4 + index % 5 : 12, 3 + 20 * number : 13 + 20 * number] = 255
            cv2.imwrite(str(image_folder / 'masks' / f'{number}.png'), mask)
        (image_folder / 'masks' / '.DS_Store').write_bytes(b'x')
    return root
