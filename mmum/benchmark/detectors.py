"""Parameters, FLOPs and memory of detectors at full size."""
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.registry import init_default_scope
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmum.benchmark.report import caption_of, markdown_table
from mmum.engine.config import load_config
from mmum.engine.cost import kept
from mmum.errors import InputError

# Of the Swin paper (arXiv 2103.14030), at 1280x800: millions of parameters, 10^9 multiply-adds (its "FLOPs"). Its Cascade Mask
# R-CNN has other box heads (four convolutions) than mmdet's.
PAPER = dict(mask_rcnn_swin_t=(48, 264), htcpp_swin_l=(284, 1470))
MASKS = 100  # of one image: mask heads see the final boxes


def of_the_paper(name):
    """What the Swin paper prints for this head and backbone, or None; UM-MAE's Swin has position MLPs instead of tables."""
    return next((numbers for key, numbers in PAPER.items() if name.replace('_um_', '_').startswith(f'{key}_')), None)


def inference_flops(model, data):
    """Counts one inference. mmdet's forward without boxes puts all proposals of a cascade through the mask heads: here 100."""
    seen = []
    heads = getattr(getattr(model, 'roi_head', None), 'mask_head', None)
    heads = list(heads) if isinstance(heads, torch.nn.ModuleList) else [heads] if heads is not None else []
    handles = [heads[0].register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))] if heads else []
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False, depth=9) as counter, sdpa_kernel(SDPBackend.MATH):
        model(data['inputs'], data['data_samples'], mode='tensor')
    for handle in handles:
        handle.remove()
    total = counter.get_total_flops()
    if heads:
        names = [name for name, module in model.named_modules() if any(module is head for head in heads)]
        counts = counter.get_flop_counts()
        masks = sum(sum(numbers.values()) for name, numbers in counts.items()
                    if any(name == one or name.endswith(f'.{one}') for one in names))
        total -= masks * (1 - MASKS / seen[0]) if seen[0] > MASKS else 0
    return total


def measure(paths, side, report):
    """Counts detectors.

    Args:
        paths (Sequence[Path]): Configs.
        side (tuple[int, int]): Height and width of the image, in pixels.
        report (Callable): Gets lines of progress.

    Returns:
        dict: ``detectors``: for each config ``parameters``; ``gmac``, 10 ** 9 multiply-adds of one inference (attention on its
        math backend; operators of mmcv, such as RoIAlign and NMS, are not counted); and ``kept_mb``, what one image of
        training keeps for the backward in float32.
    """
    found = {}
    for path in paths:  # each in a process of its own: what one leaves in memory is not there for the next
        with ProcessPoolExecutor(1, get_context('spawn')) as pool:
            try:
                one = found[path.stem] = pool.submit(measure_one, path, side).result()
            except BrokenProcessPool as error:
                raise InputError(f'{path} was killed while it was measured, most likely for memory: leave it out with '
                                 '--configs, or use a machine with more') from error
        report(f'{path.stem}: {one["parameters"] / 1e6:.0f} M parameters, {one["gmac"]:.0f} GMAC, {one["kept_mb"]:.0f} MB')
    return dict(settings=dict(side=list(side)), detectors=found)


def measure_one(path, side):
    """One detector of :func:`measure`."""
    init_default_scope('mmdet')
    cfg = load_config(str(path))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    parameters = sum(p.numel() for p in model.parameters())
    semantic = 'semantic_head' in cfg.model.get('roi_head', {})
    batch = demo_mm_inputs(1, [(3, *side)], num_classes=80, num_items=[8], with_mask=True, with_semantic=semantic,
                           sem_seg_output_strides=8)
    data = model.data_preprocessor(batch, True)
    gmac = inference_flops(model, data) / 2e9
    model.train()
    with kept([*model.parameters(), *model.buffers(), data['inputs']]) as storages:
        model.parse_losses(model(data['inputs'], data['data_samples'], mode='loss'))
    return dict(parameters=parameters, gmac=gmac, kept_mb=sum(storages.values()) / 1e6, paper=of_the_paper(path.stem))


def table(result):
    """The result as Markdown."""
    height, width = result['settings']['side']
    rows = []
    for name, one in result['detectors'].items():
        paper = f'{one["paper"][0]} / {one["paper"][1]}' if one['paper'] else '-'
        # weights, gradients and two moments in float32
        state = 16 * one['parameters'] / 1e6
        rows.append([f'`{name}`', f'{one["parameters"] / 1e6:.1f}', f'{one["gmac"]:.0f}', paper,
                     f'{(state + one["kept_mb"]) / 1e3:.1f}'])
    head = ['config', 'M parameters', 'GMAC', "the Swin paper's M / GMAC", 'GB of training, estimated']
    caption = (f'{width}x{height} px. {caption_of(result)} Parameters and multiply-adds (GMAC, what the Swin paper calls '
               "FLOPs) of one inference are exact counts, without mmcv's operators such as RoIAlign; mask heads see 100 boxes. "
               'Memory is an estimate: weights, gradients and moments, and what one image keeps for the backward, all in '
               'float32; --amp nearly halves the latter.')
    return markdown_table(head, rows, caption)


def configs():
    """All detectors on COCO; those of Mask R-CNN with 3x are the models of 1x."""
    folder = Path(__file__).resolve().parents[2] / 'configs' / 'detection'
    return sorted(path for path in folder.glob('*_coco.py') if not path.match('mask_rcnn_*_3x_coco.py'))
