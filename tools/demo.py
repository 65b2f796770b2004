"""Run everything on a small scale: drawn nuclei, pre-training, Mask R-CNN from scratch and from it.

    python tools/demo.py

Writes the table of box and mask AP to --out, with two pictures: reconstruction.png (masked input,
reconstruction, original) and detections.png (truth, from scratch, pre-trained). The same command
goes on where it was interrupted.
"""

import argparse
import os
import shutil
import time
from pathlib import Path

import torch
from benchmarks import arms
from benchmarks.nuclei import NucleiStudy
from benchmarks.report import check_out, provenance, write_result
from benchmarks.rows import NAMES
from benchmarks.runs import RESULTS
from benchmarks.stages import ensure_data

from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError
from mmum.files import check_writable
from mmum.visualization import detection_picture, write_picture

STARTS = ('scratch', 'um_mae')
LABELS = 50


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument(
        '--out', default='work_dirs/demo', help='folder to write to (default: work_dirs/demo)'
    )
    parser.add_argument(
        '--data',
        default='data/drawn_nuclei',
        help='drawn nuclei, made if they are not there (default: data/drawn_nuclei)',
    )
    parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0],
        help='one run of everything for each (default: 0)',
    )
    parser.add_argument(
        '--result',
        metavar='FILE.json',
        help='result file, with its table beside it (default: OUT/result.json)',
    )
    for name, what, steps in (('pretrain', 'pre-training', 500), ('detect', 'the detector', 300)):
        parser.add_argument(
            f'--{name}-iters', type=int, default=steps, help=f'steps of {what} (default: {steps})'
        )
        parser.add_argument(
            f'--{name}-options',
            nargs='+',
            default=[],
            metavar='KEY=VALUE',
            help=f'--cfg-options of {what}',
        )
    return parser.parse_args()


def show(line: str) -> None:
    print(line, flush=True)


def draw_detections(args: argparse.Namespace, study: NucleiStudy, out: Path) -> None:
    """Draw what the detectors of the first seed detected."""
    data, seed, results = Path(args.data), args.seeds[0], {}
    for start in STARTS:
        arm = study.arm(start)
        tested = arm.test_run(arm.detector_run(seed, seed))
        results[NAMES[start]] = out / tested.folder / f'{RESULTS}.segm.json'
    picture = detection_picture(data / 'val', data / 'annotations' / 'val_report.json', results)
    write_picture(out / 'detections.png', picture)


def main() -> None:
    args = parse_args()
    if min(args.seeds) < 0:
        raise InputError(f'--seeds {min(args.seeds)} should not be negative')
    out, begin = Path(args.out), time.time()
    check_writable(out, f'--out {out}')
    file = args.result or out / 'result.json'
    check_out(file)
    ensure_data('drawn-nuclei', args.data, out / 'data.log', show)
    study = NucleiStudy(
        args.data,
        None,
        args.seeds,
        STARTS,
        [LABELS],
        [args.pretrain_iters],
        args.detect_iters,
        out,
        1 if torch.cuda.is_available() else min(2, os.cpu_count() or 1),
        show,
        pretrain_options=args.pretrain_options,
        detect_options=args.detect_options,
    )
    result = dict(provenance=provenance(), **study.result(*study.each_start()))
    table = arms.table(result)
    write_result(file, result, table)
    pretraining = study.arm('um_mae').detector_run(args.seeds[0], args.seeds[0]).start
    pictures = (out / pretraining.folder / 'reconstruction').glob('*.png')
    shutil.copy(max(pictures, key=os.path.getmtime), out / 'reconstruction.png')
    draw_detections(args, study, out)
    print(
        f'\n{table}\nPictures: {out}/reconstruction.png (masked input, reconstruction, '
        f'original), {out}/detections.png (truth, from scratch, pre-trained)\nAll in '
        f'{time.time() - begin:.0f} s; the table is in {file}'
    )


if __name__ == '__main__':
    run_command(main)
