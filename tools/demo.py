"""Run everything on a small scale: mini data, pre-training, Mask R-CNN from scratch and from it.

    python tools/demo.py

Writes the table of box and mask AP to --out, with two pictures: reconstruction.png (masked input,
reconstruction, original) and detections.png (truth, from scratch, pre-trained). The same command
resumes where it was interrupted.
"""

import argparse
import os
import shutil
import time
from pathlib import Path

import torch
from benchmarks import CONFIGS, ROOT, transfer
from benchmarks.report import check_out, provenance, write_result
from benchmarks.runs import Runs
from benchmarks.stages import ensure_data, run_stage

from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError
from mmum.files import check_writable
from mmum.visualization import detection_picture, write_picture
from mmum.workers import usable_cores

HEAD, STARTS = 'mask_rcnn', ('scratch', 'um_mae')


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument(
        '--out', default='work_dirs/demo', help='folder to write to (default: work_dirs/demo)'
    )
    parser.add_argument(
        '--data',
        default='data/mini',
        help='the mini data set, made if missing (default: data/mini)',
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
    parser.add_argument(
        '--pretrain-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='--cfg-options of pre-training',
    )
    parser.add_argument(
        '--detect-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='--cfg-options of the detector',
    )
    parser.add_argument(
        '--detect-epochs',
        type=int,
        default=9,
        metavar='N',
        help="epochs of the detectors (default: 9, half of the config's)",
    )
    return parser.parse_args()


def show(line: str) -> None:
    print(line, flush=True)


def draw_detections(args: argparse.Namespace, out: Path) -> None:
    """Test the detectors of the first seed again, and draw what they detect."""
    config, data = CONFIGS / transfer.HEADS[HEAD], Path(args.data)
    results = {}
    for start in STARTS:
        folder = out / f'{HEAD}_{start}_{args.seeds[0]}'
        checkpoint = (folder / 'last_checkpoint').read_text()
        run_stage(
            f'detections, {transfer.NAMES[start]}',
            out / 'detections.log',
            ROOT / 'tools' / 'test.py',
            config,
            checkpoint,
            '--work-dir',
            folder / 'test',
            '--cfg-options',
            f'data_root={data}',
            *args.detect_options,
            f'test_evaluator.outfile_prefix={folder}/results',
        )
        results[transfer.NAMES[start]] = folder / 'results.segm.json'
    picture = detection_picture(data / 'val', data / 'annotations' / 'val.json', results)
    write_picture(out / 'detections.png', picture)


def main() -> None:
    args = parse_args()
    if min(args.seeds) < 0:
        raise InputError(f'--seeds {min(args.seeds)} should not be negative')
    if args.detect_epochs < 1:
        raise InputError(f'--detect-epochs {args.detect_epochs} should be at least 1')
    out, begin = Path(args.out), time.time()
    check_writable(out, f'--out {out}')
    file = args.result or out / 'result.json'
    check_out(file)
    ensure_data('mini', args.data, out / 'data.log', show)
    jobs = 1 if torch.cuda.is_available() else min(2, usable_cores())
    found = transfer.run_transfer(
        Runs(out, jobs, show),
        args.data,
        args.seeds,
        STARTS,
        [HEAD],
        pretrain_options=args.pretrain_options,
        detect_options=args.detect_options,
        detect_epochs=args.detect_epochs,
    )
    result = dict(provenance=provenance(), **found)
    table = transfer.table(result)
    write_result(file, result, table)
    pictures = (out / f'pretrain_um_mae_{args.seeds[0]}' / 'reconstruction').glob('*.png')
    shutil.copy(max(pictures, key=os.path.getmtime), out / 'reconstruction.png')
    draw_detections(args, out)
    print(
        f'\n{table}\nPictures: {out}/reconstruction.png (masked input, reconstruction, '
        f'original), {out}/detections.png (truth, from scratch, pre-trained)\nAll in '
        f'{time.time() - begin:.0f} s; the table is in {file}'
    )


if __name__ == '__main__':
    run_command(main)
