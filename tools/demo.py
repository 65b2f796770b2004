"""The whole road on a small scale: mini data, pre-training, Mask R-CNN from the checkpoint and from scratch, box and mask AP.

    python tools/demo.py

Every stage is one command of the project, printed as it runs. Writes to --out: results.json, results.md (the table),
reconstruction.png (masked input / reconstruction / original), detections.png (truth / from scratch / pre-trained), and
the log of every stage.
"""
import datetime
import json
import os
import re
import shutil
import time
from pathlib import Path

import torch

import mmum
from benchmarks.report import hardware
from benchmarks.stages import CONFIGS, run_stage
from mmum.cli.command import argument_parser, run_command
from mmum.errors import InputError
from mmum.files import ROOT, check_writable
from mmum.visualization import detection_picture, write_picture

TOOLS = ROOT / 'tools'
PRETRAIN = CONFIGS / 'selfsup' / 'um_mae_swin_nano_mini.py'
DETECT = CONFIGS / 'detection' / 'mask-rcnn_um-swin-nano_fpn_mini.py'
STARTS = ('from scratch', 'pre-trained')
MARKS = ('<!-- demo table -->', '<!-- end of demo table -->')
METRICS = ('bbox_mAP', 'bbox_mAP_50', 'segm_mAP', 'segm_mAP_50')


def parse_args():
    parser = argument_parser(__doc__)
    parser.add_argument('--out', default='work_dirs/demo', help='folder to write to (default: work_dirs/demo)')
    parser.add_argument('--data', default='data/mini', help='the mini data set, made if it is not there (default: data/mini)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='one run of everything for each (default: 0)')
    parser.add_argument('--publish', metavar='FOLDER', help='run nothing: put the results of an earlier run (its --out) into '
                        'docs/results/, README.md and docs/results.md')
    parser.add_argument('--pretrain-options', nargs='+', default=[], metavar='KEY=VALUE', help='--cfg-options of pre-training')
    parser.add_argument('--detect-options', nargs='+', default=[], metavar='KEY=VALUE', help='--cfg-options of the detector')
    return parser.parse_args()


def show(line):
    print(line, flush=True)


def run(name, log, *command):
    """Runs one command of the project and shows it. Returns the seconds it took and its output."""
    show(f'\n{name}\n  $ python {" ".join(str(part) for part in command)}')
    log.unlink(missing_ok=True)  # of an earlier demo
    seconds, output = run_stage(name, log, *command, report=show)
    show(f'  done in {seconds:.0f} s')
    return seconds, output


def run_seed(args, out, seed):
    """One run of everything but the data. Returns AP and seconds."""
    seconds, ap = {}, {}
    pretrain = out / 'pretrain'
    seconds['pre-training'], _ = run(
        'Pre-training on unlabelled images', out / 'pretrain.log', TOOLS / 'train.py', PRETRAIN, '--amp', '--work-dir',
        pretrain, '--cfg-options', f'data_root={args.data}/unlabelled', f'randomness.seed={seed}', *args.pretrain_options)
    checkpoint = (pretrain / 'last_checkpoint').read_text()
    for start in STARTS:
        work_dir = out / start.replace(' ', '_')
        pretrained = checkpoint if start == 'pre-trained' else None
        options = ['--cfg-options', f'data_root={args.data}', f'randomness.seed={seed}', *args.detect_options]
        seconds[f'Mask R-CNN {start}'], _ = run(
            f'Mask R-CNN, {start}', out / f'{work_dir.name}.log', TOOLS / 'train.py', DETECT, '--amp', '--work-dir', work_dir,
            *options, f'pretrained={pretrained}')
        seconds[f'test {start}'], output = run(
            f'Testing Mask R-CNN, {start}', out / f'{work_dir.name}_test.log', TOOLS / 'test.py', DETECT,
            (work_dir / 'last_checkpoint').read_text(), '--work-dir', work_dir / 'test', *options,
            f'test_evaluator.outfile_prefix={work_dir}/results')
        ap[start] = {name: float(re.search(rf'coco/{name}: (-?[0-9.]+)', output)[1]) for name in METRICS}
    return dict(seed=seed, ap=ap, seconds=seconds)


def table(results):
    """The Markdown table of results.json: AP of each start, mean and range over seeds, then seconds."""
    runs = results['runs']

    def summary(start, metric):
        values = [100 * run['ap'][start][metric] for run in runs]
        mean = sum(values) / len(values)
        return f'{mean:.1f}' + (f' ({min(values):.1f}-{max(values):.1f})' if len(values) > 1 else '')

    def seconds(stage):
        values = [run['seconds'][stage] for run in runs]
        return sum(values) / len(values)

    lines = [f'`{results["command"]}`, {results["hardware"]}, {results["date"]}, '
             f'seed{"s" if runs[1:] else ""} {", ".join(str(run["seed"]) for run in runs)}.', '',
             '| Mask R-CNN | box AP | box AP50 | mask AP | mask AP50 | training s | test s |', '|---|---|---|---|---|---|---|']
    for start in STARTS:
        cells = [summary(start, metric) for metric in METRICS]
        cells += [f'{seconds(f"Mask R-CNN {start}"):.0f}', f'{seconds(f"test {start}"):.0f}']
        lines.append(f'| {start} | {" | ".join(cells)} |')
    wins = sum(run['ap']['pre-trained']['segm_mAP'] > run['ap']['from scratch']['segm_mAP'] for run in runs)
    data = '' if results['data_seconds'] is None else f', the data {results["data_seconds"]:.0f} s'
    lines += ['', f'Pre-training took {seconds("pre-training"):.0f} s{data}. Pre-trained has the higher mask AP in {wins} of '
              f'{len(runs)} run{"s" if runs[1:] else ""}. AP in per cent on the validation images'
              f'{", mean (lowest-highest) over seeds" if runs[1:] else ""}.']
    return '\n'.join(lines) + '\n'


def publish(folder):
    """Puts the table of an earlier run between the marks of README.md and docs/results.md."""
    root, folder = ROOT, Path(folder)
    if not (folder / 'results.json').exists():
        raise InputError(f'{folder} holds no results.json: give the --out folder of an earlier run')
    results = json.loads((folder / 'results.json').read_text())
    (root / 'docs' / 'results').mkdir(exist_ok=True)
    (root / 'docs' / 'results' / 'demo.json').write_text(json.dumps(results, indent=1) + '\n')
    for page in (root / 'README.md', root / 'docs' / 'results.md'):
        before, rest = page.read_text().split(MARKS[0])
        page.write_text(f'{before}{MARKS[0]}\n{table(results)}{MARKS[1]}{rest.split(MARKS[1])[1]}')


def main():
    args = parse_args()
    if args.publish:
        return publish(args.publish)
    if min(args.seeds) < 0:
        raise InputError(f'--seeds {min(args.seeds)} should not be negative')
    out, data = Path(args.out), Path(args.data)
    check_writable(out, f'--out {out}')
    start, data_seconds = time.time(), None
    if not (data / 'annotations' / 'val.json').exists():
        data_seconds, _ = run('Data', out / 'data.log', TOOLS / 'prepare_data.py', 'mini', '--out', data)
    runs = []
    for seed in args.seeds:
        folder = out if len(args.seeds) == 1 else out / f'seed_{seed}'
        runs.append(run_seed(args, folder, seed))
    results = dict(
        command='python tools/demo.py' + (f' --seeds {" ".join(map(str, args.seeds))}' if args.seeds != [0] else ''),
        hardware=f'{hardware()}, torch {torch.__version__}, mmum {mmum.__version__}', date=datetime.date.today().isoformat(),
        data_seconds=data_seconds, runs=runs)
    (out / 'results.json').write_text(json.dumps(results, indent=1))
    (out / 'results.md').write_text(table(results))

    last = max((folder / 'pretrain' / 'reconstruction').glob('*.png'), key=os.path.getmtime)
    shutil.copy(last, out / 'reconstruction.png')
    found = {start: folder / start.replace(' ', '_') / 'results.segm.json' for start in STARTS}
    write_picture(out / 'detections.png', detection_picture(data / 'val', data / 'annotations' / 'val.json', found))
    print(f'\n{table(results)}\nPictures: {out}/reconstruction.png (masked input, reconstruction, original), '
          f'{out}/detections.png (truth, {", ".join(STARTS)})\nAll in {time.time() - start:.0f} s')


if __name__ == '__main__':
    run_command(main)
