"""Measure speed and memory, and write the findings as JSON with a Markdown table beside it.

Training methods against each other, the kinds of work in a step, the input pipeline, several
ranks, detectors, segmentation, the hours and memory of a long run, how far a decoder looks, and
in how many directions features spread:

    python tools/benchmark.py compare --size T --batch 8 --dtype float32
    python tools/benchmark.py compare --detectors --batch 1
    python tools/benchmark.py profile --methods um_mae simmim
    python tools/benchmark.py data
    python tools/benchmark.py scaling --ranks 1 2
    python tools/benchmark.py detectors
    python tools/benchmark.py segmentors
    python tools/benchmark.py predict --model FILE.json --ranks 1 8 64
    python tools/benchmark.py attention CHECKPOINT
    python tools/benchmark.py rank CHECKPOINT

Tables of docs/results/ into the pages that show them, and the figures of the documentation:

    python tools/benchmark.py publish
    python tools/benchmark.py figures
"""

from pathlib import Path

from benchmarks import (
    CONFIGS,
    ROOT,
    attention,
    compare,
    data,
    detector_steps,
    detectors,
    figures,
    predict,
    profile,
    rank,
    scaling,
    segmentors,
)
from benchmarks.report import check_out, provenance, publish, write_result

from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError
from mmum.visualization import write_picture


def parse_args():
    parser = argument_parser(__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    compare_parser = commands.add_parser('compare', help='pre-training methods on equal terms')
    compare_parser.add_argument(
        '--repeats', type=int, default=7, help='interleaved repeats (default: 7)'
    )
    compare_parser.add_argument(
        '--steps',
        type=int,
        default=2,
        help='steps of a method in a repeat, the fastest counts (default: 2)',
    )
    compare_parser.add_argument(
        '--memory',
        type=float,
        default=80,
        metavar='GB',
        help='work out the largest batch for it (default: 80)',
    )
    compare_parser.add_argument(
        '--detectors',
        action='store_true',
        help='training steps of Mask R-CNN Swin-T at 1333x800 instead',
    )
    profile_parser = commands.add_parser(
        'profile', help="where the time of a method's step goes, and the next ceiling"
    )
    profile_parser.add_argument(
        '--steps', type=int, default=3, help='steps to profile (default: 3)'
    )
    for command in (compare_parser, profile_parser):
        command.add_argument(
            '--methods', nargs='+', choices=list(compare.METHODS), default=compare.USUAL
        )
        command.add_argument(
            '--size', choices=list(compare.SIZES), default='T', help='size of Swin (default: T)'
        )
        command.add_argument('--batch', type=int, default=8, help='images per step (default: 8)')
        command.add_argument(
            '--image-size', type=int, default=256, help='their side in pixels (default: 256)'
        )
        command.add_argument(
            '--dtype',
            choices=['float32', 'bfloat16', 'float16'],
            default='float32',
            help='(default: float32)',
        )
    data_parser = commands.add_parser(
        'data', help='images/s of the input pipeline by worker, from a folder of JPEGs it writes'
    )
    data_parser.add_argument(
        '--images', type=int, default=200, help='images of each size (default: 200)'
    )
    data_parser.add_argument(
        '--repeats', type=int, default=5, help='interleaved repeats (default: 5)'
    )
    data_parser.add_argument(
        '--workers',
        type=int,
        nargs='+',
        default=[1, 2],
        help='data-loading workers to try (default: 1 2)',
    )
    data_parser.add_argument(
        '--model',
        metavar='FILE.json',
        help='a result of compare: says whether model or data is the bottleneck',
    )
    scaling_parser = commands.add_parser(
        'scaling', help='steps with more ranks, efficiency and memory'
    )
    scaling_parser.add_argument(
        '--ranks', type=int, nargs='+', default=[1, 2], help='numbers of ranks (default: 1 2)'
    )
    scaling_parser.add_argument(
        '--strategies',
        nargs='+',
        choices=list(scaling.STRATEGIES),
        default=list(scaling.STRATEGIES),
    )
    scaling_parser.add_argument('--batch', type=int, default=8, help='global batch (default: 8)')
    scaling_parser.add_argument(
        '--size', choices=list(compare.SIZES), default='T', help='size of Swin (default: T)'
    )
    scaling_parser.add_argument('--steps', type=int, default=5, help='steps to time (default: 5)')
    predict_parser = commands.add_parser(
        'predict', help='hours and memory of a long run, worked out from the counts of compare'
    )
    predict_parser.add_argument(
        '--model', metavar='FILE.json', required=True, help='a result of compare'
    )
    predict_parser.add_argument(
        '--ranks', type=int, nargs='+', default=[1, 2, 4, 8, 16, 32, 64], help='numbers of GPUs'
    )
    predict_parser.add_argument(
        '--images',
        type=int,
        default=1281167,
        help="images of an epoch (default: ImageNet-1K's 1281167)",
    )
    predict_parser.add_argument('--epochs', type=int, default=800, help='(default: 800)')
    predict_parser.add_argument(
        '--memory', type=float, default=80, metavar='GB', help='of one GPU (default: 80)'
    )
    predict_parser.add_argument(
        '--teraflops', type=float, help='what one GPU sustains (default: what compare measured)'
    )
    predict_parser.add_argument(
        '--efficiency', type=float, default=0.9, help='of a rank among many (default: 0.9)'
    )
    detectors_parser = commands.add_parser(
        'detectors', help='parameters, FLOPs and memory of detectors at full size'
    )
    detectors_parser.add_argument(
        '--configs', nargs='+', default=[], metavar='CONFIG', help='(default: all on COCO)'
    )
    detectors_parser.add_argument(
        '--height', type=int, default=800, help='of the image in pixels (default: 800)'
    )
    detectors_parser.add_argument(
        '--width', type=int, default=1280, help='of the image in pixels (default: 1280)'
    )
    detectors_parser.add_argument(
        '--pretrained',
        metavar='CHECKPOINT',
        help='what the backbones start from (default: random weights)',
    )
    detectors_parser.add_argument(
        '--inference', action='store_true', help='make one whole inference of 800x1333 px too'
    )
    segmentors_parser = commands.add_parser(
        'segmentors', help='the same of segmentation models, with a training step and a test'
    )
    segmentors_parser.add_argument(
        '--configs', nargs='+', default=[], metavar='CONFIG', help='(default: all on ADE20K)'
    )
    attention_parser = commands.add_parser(
        'attention', help='attention of a decoder to sampled units, by their distance'
    )
    attention_parser.add_argument(
        'checkpoints', nargs='+', metavar='CHECKPOINT', help='of pre-trainings with UMDecoder'
    )
    rank_parser = commands.add_parser(
        'rank', help='effective rank of the features of Swin backbones, beside the AP of detectors'
    )
    rank_parser.add_argument(
        'checkpoints',
        nargs='+',
        metavar='[NAME=]CHECKPOINT',
        help='for example backbone.safetensors; its name in the table is that of its folder',
    )
    rank_parser.add_argument(
        '--scores',
        nargs='+',
        default=[],
        metavar='FILE.json',
        help='results of study.py with detectors that started from these pre-trainings',
    )
    rank_parser.add_argument(
        '--steps', type=int, default=500, help='of the detectors that count (default: 500)'
    )
    for command in (attention_parser, rank_parser):
        command.add_argument(
            '--folder', default='data/nuclei/val', help='images (default: data/nuclei/val)'
        )
        command.add_argument('--images', type=int, default=64, help='(default: 64)')
    for command in (
        attention_parser,
        rank_parser,
        compare_parser,
        data_parser,
        scaling_parser,
        predict_parser,
        detectors_parser,
        segmentors_parser,
        profile_parser,
    ):
        command.add_argument(
            '--out',
            metavar='FILE.json',
            help='result file (default: work_dirs/benchmark/COMMAND.json)',
        )
    commands.add_parser(
        'publish', help='run nothing: put the tables of docs/results/ into docs/*.md'
    )
    figures_parser = commands.add_parser('figures', help='draw the figures of the documentation')
    figures_parser.add_argument(
        '--nuclei',
        nargs=3,
        type=Path,
        metavar=('DATA', 'PRETRAINING', 'DETECTOR'),
        help='the one of nuclei too, from the data set and two checkpoints',
    )
    figures_parser.add_argument(
        '--steps',
        nargs='+',
        metavar='FOLDER N',
        help='the one of reconstructions over steps too, from the folder of pictures of a '
        'pre-training, and the steps to show',
    )
    return parser.parse_args()


def publish_all() -> None:
    """Put all tables of docs/results/ into the pages that show them."""
    results = ROOT / 'docs' / 'results'
    pages = [
        ROOT / 'README.md',
        *sorted((ROOT / 'docs').glob('*.md')),
        CONFIGS / 'detection' / 'README.md',
        CONFIGS / 'segmentation' / 'README.md',
    ]
    for page in pages:
        if publish(page, results):
            print(f'{page.relative_to(ROOT)}: written')


def main():
    args = parse_args()
    if args.command == 'publish':
        return publish_all()
    if args.command == 'figures':
        images = ROOT / 'docs' / 'images'
        if args.nuclei:
            write_picture(images / 'nuclei.jpg', figures.nuclei_picture(*args.nuclei))
        if args.steps:
            folder, *steps = args.steps
            picture = figures.steps_picture(Path(folder), steps)
            write_picture(images / 'nuclei_steps.jpg', picture)
        return write_picture(images / 'method.png', figures.method_picture())
    for name, value in vars(args).items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, (int, float)) and not isinstance(number, bool) and number <= 0:
                raise InputError(f'--{name.replace("_", "-")} {number} should be positive')
    detectors_asked = args.command == 'compare' and args.detectors
    if detectors_asked and (args.methods, args.size, args.image_size) != (
        compare.USUAL,
        'T',
        256,
    ):
        raise InputError(
            '--detectors compares Swin-T alone: leave --methods, --size and --image-size out'
        )
    out = args.out or f'work_dirs/benchmark/{args.command}.json'
    check_out(out)

    def report(line):
        print(line, flush=True)

    if detectors_asked:
        found = detector_steps.measure(args.batch, args.dtype, args.repeats, args.steps, report)
        make_table = detector_steps.table
    elif args.command == 'compare':
        found = compare.compare(
            args.methods,
            args.size,
            args.batch,
            args.image_size,
            args.dtype,
            args.repeats,
            args.steps,
            args.memory,
            report,
        )
        make_table = compare.table
    elif args.command == 'attention':
        found = attention.measure(args.checkpoints, args.folder, args.images, report)
        make_table = attention.table
    elif args.command == 'rank':
        found = rank.measure(
            args.checkpoints, args.folder, args.images, args.scores, args.steps, report
        )
        make_table = rank.table
    elif args.command == 'profile':
        found = profile.measure(
            args.methods, args.size, args.batch, args.image_size, args.dtype, args.steps, report
        )
        make_table = profile.table
    elif args.command == 'data':
        found = data.measure(args.images, args.repeats, args.workers, args.model, report)
        make_table = data.table
    elif args.command == 'predict':
        found = predict.predict(
            args.model,
            args.ranks,
            args.images,
            args.epochs,
            args.memory,
            args.teraflops,
            args.efficiency,
        )
        make_table = predict.table
    elif args.command == 'detectors':
        paths = [Path(path) for path in args.configs] or detectors.configs()
        found = detectors.measure(
            paths, (args.height, args.width), report, args.pretrained, args.inference
        )
        make_table = detectors.table
    elif args.command == 'segmentors':
        paths = [Path(path) for path in args.configs] or segmentors.configs()
        found = segmentors.measure(paths, report)
        make_table = segmentors.table
    else:
        found = scaling.measure(
            args.ranks, args.strategies, args.size, args.batch, args.steps, report
        )
        make_table = scaling.table
    result = dict(provenance=provenance(), **found)
    table = make_table(result)
    write_result(out, result, table)
    print(f'\n{table}\nwritten to {out}')


if __name__ == '__main__':
    run_command(main)
