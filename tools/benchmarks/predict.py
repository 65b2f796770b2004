"""Hours and memory of a long run, worked out from exact counts."""

from benchmarks.compare import read_result
from benchmarks.report import caption_of, markdown_table
from mmum.errors import InputError

# bytes a parameter with AdamW in float32: weight, gradient, two moments
WEIGHT, GRADIENT, MOMENTS = 4, 4, 8
STRATEGIES = dict(
    ddp=lambda p, ranks: (
        p * (WEIGHT + 2 * GRADIENT + MOMENTS)
    ),  # a second copy of the gradients in the buckets
    zero1=lambda p, ranks: p * (WEIGHT + 2 * GRADIENT + MOMENTS / ranks),
    fsdp=lambda p, ranks: p * (WEIGHT + GRADIENT + MOMENTS) / ranks,
)


def predict(path, ranks, images, epochs, memory_gb, teraflops, efficiency):
    """Works a run out.

    Args:
        path (str): A result of compare, with um_mae in it: its counts, and its speed unless
            ``teraflops`` says another.
        ranks (Sequence[int]): Numbers of GPUs.
        images (int): Images of an epoch.
        epochs (int): Epochs.
        memory_gb (float): Of one GPU.
        teraflops (float, optional): What one GPU sustains in training. Defaults to None: what was
            measured in ``path``.
        efficiency (float): Speed of a rank among many over that of one alone.

    Returns:
        dict: ``runs``: for each number of ranks hours, and by strategy the MB of weights, gradients
        and moments and the largest batch a rank.
    """
    found = read_result(path)
    if 'um_mae' not in found.get('methods', {}):
        raise InputError(
            f'{path} is no result of `compare` with um_mae in it: write one with '
            'tools/benchmark.py compare'
        )
    counts = found['methods']['um_mae']
    measured = counts['images_per_second'] * counts['gflop'] / 1e3
    per_rank = (teraflops or measured) * 1e3 / counts['gflop']
    runs = []
    for number in ranks:
        speed = per_rank * number * (efficiency if number > 1 else 1)
        run = dict(
            ranks=number,
            images_per_second=speed,
            hours=images * epochs / speed / 3600,
            strategies={},
        )
        for name, state in STRATEGIES.items():
            state_mb = state(counts['parameters'], number) / 1e6
            run['strategies'][name] = dict(
                state_mb=state_mb,
                largest_batch=max(0, int((memory_gb * 1e3 - state_mb) / counts['activation_mb'])),
            )
        runs.append(run)
    return dict(
        settings=dict(
            source=str(path),
            size=found['settings']['size'],
            images=images,
            epochs=epochs,
            memory_gb=memory_gb,
            teraflops=teraflops or measured,
            measured=teraflops is None,
            efficiency=efficiency,
            gflop=counts['gflop'],
            activation_mb=counts['activation_mb'],
        ),
        runs=runs,
    )


def table(result):
    """The result as Markdown."""
    s = result['settings']
    rows = [
        [
            run['ranks'],
            f'{run["images_per_second"]:.0f}',
            f'{run["hours"]:,.1f}',
            *(
                f'{one["state_mb"]:.0f} / {one["largest_batch"]}'
                for one in run['strategies'].values()
            ),
        ]
        for run in result['runs']
    ]
    origin = f'measured in {s["source"]}' if s['measured'] else 'assumed'
    sustained = f'{s["teraflops"]:.3g} TFLOP/s per rank ({origin})'
    caption = (
        f'Worked out, not run: UM-MAE Swin-{s["size"]}, {s["images"]:,} images x {s["epochs"]} '
        f'epochs at {s["gflop"]:.1f} GFLOP and {s["activation_mb"]:.1f} MB per image (float32), '
        f'{sustained}, {100 * s["efficiency"]:.0f} % efficiency, {s["memory_gb"]:g} GB per rank. '
        f'{caption_of(result)}'
    )
    head = [
        'ranks',
        'images/s',
        'hours',
        *(f'{name}: state MB / largest batch' for name in STRATEGIES),
    ]
    return markdown_table(head, rows, caption)
