"""Parameters, FLOPs, a training step and a test of segmentation models at full size."""

import copy
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import CONFIGS
from benchmarks.report import caption_of, markdown_table, peak_rss_mb
from mmum.engine.config import load_config

# Of the Swin paper (arXiv 2103.14030, table 3), at 2048x512: millions of parameters, 10^9
# multiply-adds (its "FLOPs").
PAPER = {'upernet_swin-t': (60, 945)}
SIDE = (512, 2048)  # height, width in pixels
CROP = 512


def configs():
    """The segmentation configs of full size."""
    return sorted(
        path for path in (CONFIGS / 'segmentation').glob('*.py') if 'nano' not in path.stem
    )


def measure(paths, report):
    """Count segmentation models, and make a training step and a test with each.

    Args:
        paths (Sequence[Path]): Configs.
        report (Callable): Gets lines of progress.

    Returns:
        dict: ``segmentors``: for each config ``parameters``, those ``without_auxiliary`` head,
        ``gmac`` of the whole image in 10 ** 9 multiply-adds, the ``loss`` of a step of one crop,
        the ``labels`` that a test of 512x683 px found, and ``peak_mb`` of the process.
    """
    found = {}
    for path in paths:  # each in a process of its own
        with ProcessPoolExecutor(1, get_context('spawn')) as pool:
            one = found[path.stem] = pool.submit(measure_one, path).result()
        report(f'{path.stem}: {one["parameters"] / 1e6:.0f} M parameters, {one["gmac"]:.0f} GMAC')
    return dict(settings=dict(side=list(SIDE), crop=CROP), segmentors=found)


def measure_one(path):
    """One model of :func:`measure`."""
    from mmseg.registry import MODELS

    init_default_scope('mmseg')
    cfg = load_config(str(path))
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.norm_cfg.type = 'BN'
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    auxiliary = sum(p.numel() for p in model.auxiliary_head.parameters())
    found = dict(parameters=sum(p.numel() for p in model.parameters()))
    found['without_auxiliary'] = found['parameters'] - auxiliary
    shape = copy.deepcopy(model).to('meta')  # nothing is computed
    image = torch.zeros(1, 3, *SIDE, device='meta')
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        shape(image, mode='tensor')
    found['gmac'] = counter.get_total_flops() / 2e9
    return dict(**found, **run(model), peak_mb=peak_rss_mb())


def run(model):
    """Make a training step of one crop, and a test of 512x683 px as the config says."""
    model.train()
    for module in model.modules():  # one image has no variance after pooling to 1x1
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    data = model.data_preprocessor(sample(CROP, CROP), True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    model.eval()
    with torch.no_grad():
        (found,) = model.test_step(sample(CROP, 683))
    return dict(loss=loss.item(), labels=len(found.pred_sem_seg.data.unique()))


def sample(height, width):
    """A random image with random labels."""
    from mmseg.structures import SegDataSample

    one = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, height, width))))
    one.set_metainfo(dict(img_shape=(height, width), ori_shape=(height, width)))
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    return dict(inputs=[image], data_samples=[one])


def table(result):
    """The result as Markdown."""
    rows = []
    for name, one in result['segmentors'].items():
        paper = next((v for key, v in PAPER.items() if name.startswith(f'{key}_')), None)
        rows.append(
            [
                f'`{name}`',
                f'{one["without_auxiliary"] / 1e6:.1f} / {one["parameters"] / 1e6:.1f}',
                f'{one["gmac"]:.0f}',
                ' / '.join(map(str, paper)) if paper else '-',
                f'{one["loss"]:.2f}',
                f'{one["peak_mb"] / 1024:.1f}',
            ]
        )
    height, width = result['settings']['side']
    crop = result['settings']['crop']
    caption = (
        f'{caption_of(result)} Parameters without and with the auxiliary head, and multiply-adds '
        f'(GMAC, what the Swin paper calls FLOPs) of {width}x{height} px are exact counts. The '
        f'loss is that of random weights and labels in a training step of one crop of {crop} px; '
        'after it comes a test of 683x512 px. Memory: of the process at most, with AdamW in '
        'float32.'
    )
    head = [
        'config',
        'M parameters',
        'GMAC',
        "the Swin paper's M / GMAC",
        'loss of the step',
        'GB at most',
    ]
    return markdown_table(head, rows, caption)
