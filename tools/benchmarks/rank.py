"""Effective rank of the features of pre-trainings, beside the AP of the detectors that started from
them."""

from pathlib import Path

import torch
from mmengine.registry import MODELS, DefaultScope

from benchmarks.arms import spread
from benchmarks.attention import SIDE, read_crops
from benchmarks.outcomes import read_known
from benchmarks.report import caption_of, markdown_table
from mmum.api.features import load_with_settings
from mmum.errors import InputError

STAGES = (0, 1, 2, 3)
UNTRAINED = 'untrained'


def measure(checkpoints, folder, number, scores, steps, report):
    """Measure backbones on crops of images.

    Args:
        checkpoints (Sequence[str]): Of Swin backbones with equal settings, each after ``NAME=`` if
            it is to have another name than its folder. Of a pre-training of a study:
            ``backbone.safetensors`` in its folder.
        folder (str): Images; crops of 128 px from their middle.
        number (int): Images, the first ones by name.
        scores (Sequence[str]): Result files of studies: AP of the detectors that they tested.
        steps (int): Steps of these detectors.
        report (Callable): Gets a line per backbone.

    Returns:
        dict: ``settings``, and ``rows``: of the untrained backbone and of every checkpoint its
        ``name``, the ``ranks`` of its stages, and the mask ``ap`` of its detectors, from 0 to 1.

    Raises:
        InputError: If there are too few images, or a file is none of these.
    """
    images = read_crops(Path(folder), number)
    tests = {}  # the runs of all files, once each
    for path in scores:
        tests |= read_known(path)
    rows = []
    for given in checkpoints:
        named = '=' in given and not Path(given).is_file()
        title, path = given.split('=', 1) if named else ('', given)
        backbone, found = load_with_settings(path, out_indices=STAGES)
        if not rows:
            untrained = build_untrained(found.backbone)
            rows.append(row_of(UNTRAINED, untrained, images, found, ap_after(None, tests, steps)))
        run = Path(path).resolve().parent.name
        rows.append(row_of(title or run, backbone, images, found, ap_after(run, tests, steps)))
    for row in rows:
        report(f'{row["name"]}: {", ".join(f"{rank:.1f}" for rank in row["ranks"])}')
    settings = dict(folder=str(folder), images=number, side=SIDE, steps=steps)
    return dict(settings=settings, rows=rows)


def build_untrained(settings):
    """A backbone with such settings and random weights of seed 0."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build({**settings, 'out_indices': STAGES})
    model.init_weights()
    return model.eval()


@torch.no_grad()
def row_of(name, backbone, images, found, ap):
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (found.mean, found.std))
    inputs = images.flip(1) if found.to_rgb else images  # OpenCV's order is BGR
    maps = backbone((inputs.float() - mean) / std)
    ranks = [effective_rank(features.transpose(0, 1).flatten(1).t()) for features in maps]
    return dict(name=name, ranks=ranks, ap=ap)


def effective_rank(features):
    """Number of directions that features (n, C) spread in, from 1 to C: the exponential of the
    entropy of their singular values (Roy and Vetterli 2007; RankMe, arXiv 2210.02885), the mean
    taken off."""
    values = torch.linalg.svdvals(features.double() - features.double().mean(0))
    shares = values / values.sum()
    return float(torch.exp(torch.special.entr(shares).sum()))


def ap_after(folder, runs, steps):
    """Mask AP of the tested detectors of so many steps that started from a pre-training, by its
    folder, or from scratch (None); in the order of their seeds.

    Raises:
        InputError: If there are several of one seed.
    """
    if folder is not None and folder not in runs:
        return []
    end = ['from', *runs[folder]['command']] if folder else []
    found = {}
    for name, run in runs.items():
        command = run['command']
        detector = command[: len(command) - len(end)]
        # of the test, its detector, and where that began
        if not name.startswith('test_') or command != detector + end or detector.count('from') != 1:
            continue
        trained = detector[detector.index('from') :]
        if trained[trained.index('--iters') + 1] != str(steps):
            continue
        seed = int(name.rpartition('_')[2])
        if seed in found:
            raise InputError(
                f'--scores hold several detectors of {steps} steps of seed {seed} after '
                f'{folder or UNTRAINED}: give results of one number of labels and one setting'
            )
        found[seed] = run['ap']['segm_mAP']
    return [ap for _, ap in sorted(found.items())]


def table(result):
    """The result as Markdown."""
    s = result['settings']
    caption = (
        f'{caption_of(result)} {s["images"]} crops of {s["side"]} px of {s["folder"]}: effective '
        'rank of the feature vectors after every stage (1 to as many as there are channels), and '
        f'mask AP in per cent of detectors of {s["steps"]} steps from these weights, mean '
        '(lowest-highest) over seeds.'
    )
    lines = [
        [
            row['name'],
            *(f'{rank:.1f}' for rank in row['ranks']),
            spread([100 * ap for ap in row['ap']]) if row['ap'] else '-',
        ]
        for row in result['rows']
    ]
    head = ['pre-training', *(f'stage {stage + 1}' for stage in STAGES), 'mask AP']
    return markdown_table(head, lines, caption)
