"""Run a study: trainings over seeds, to a result file, its table and its charts.

    python tools/study.py transfer --seeds 0 1 2       heads and starts on the mini set
    python tools/study.py curves --seeds 0 1 2         lengths of the pre-training, on nuclei
    python tools/study.py starts --seeds 0 1 2 3 4     starts, each with its best learning rate
    python tools/study.py labels --seeds 0 1 2         numbers of labelled images
    python tools/study.py lengths --seeds 0 1 2        lengths of the detector
    python tools/study.py ablations --seeds 0 1 2      one change of the pre-training a row
    python tools/study.py adapt --seeds 0 1 2          weights from elsewhere, adapted or not
    python tools/study.py losses --seeds 0             loss curves of these pre-trainings

Finished runs are kept: the same command resumes a study that was interrupted. On another machine,
--known takes over the runs that a result file records.
"""

from dataclasses import fields
from pathlib import Path

from benchmarks import arms, charts, losses, nuclei, rows, transfer
from benchmarks.report import check_out, provenance, write_result
from benchmarks.runs import Runs
from benchmarks.settings import DEFAULTS, read_settings
from benchmarks.stages import ensure_data
from benchmarks.study_arguments import read_arguments

from mmum.cli.command import run_command
from mmum.errors import InputError


def parse_args():
    return read_arguments(__doc__)


def show(line):
    print(line, flush=True)


def run_transfer(args, runs, chart):
    """The study on the mini set: its result and its table."""
    ensure_data('mini', args.data, Path(args.work_dir, 'data.log'), show)
    if 'knn' in args.heads:
        ensure_data('mini-classes', args.digits, Path(args.work_dir, 'data.log'), show)
    found = transfer.run_transfer(
        runs,
        args.data,
        args.seeds,
        args.starts,
        args.heads,
        pretrain_options=args.pretrain_options,
        detect_options=args.detect_options,
        once=args.pretrain_once,
        segment_options=args.segment_options,
        knn_options=args.knn_options,
        digits=args.digits,
        detect_epochs=args.detect_epochs,
    )
    result = dict(provenance=provenance(), **found)
    transfer.picture(result, chart)
    if first := transfer.loss_rows(result):
        losses.picture(first, chart.with_stem(f'{chart.stem}_loss'))
    return result, transfer.table(result)


def run_nuclei(args, runs, chart):
    """A study on nuclei: its result and its table."""
    if not Path(args.data, 'annotations', 'val_report.json').is_file():
        raise InputError(
            f'{args.data} is not the data set: write it with tools/prepare_data.py nuclei '
            f'stage1_train.zip --out {args.data}'
        )
    # a study has the arguments that it uses, and the defaults of the others
    given = vars(args)
    names = {field.name for field in fields(nuclei.NucleiStudy)} & given.keys()
    file = given.get('settings')
    settings = {} if args.command == 'starts' else read_settings(file) if file else DEFAULTS
    made = dict(runs=runs, settings=settings)
    study = nuclei.NucleiStudy(**{name: given[name] for name in names - made.keys()}, **made)
    if args.command == 'adapt' or 'supervised' in study.starts:
        ensure_data('mini-classes', study.digits, Path(args.work_dir, 'data.log'), show)
    run = dict(
        curves=study.curves,
        starts=study.starts_chosen,
        labels=study.label_curve,
        lengths=study.lengths,
        ablations=study.ablations,
        adapt=study.adapting,
        losses=study.losses,
    )[args.command]
    result = dict(provenance=provenance(), **study.result(*run()))
    if args.command == 'losses':
        losses.picture(result['rows'], chart)
        return result, losses.table(result)
    if args.command == 'labels' and len(args.labels) > 1:
        charts.ap_over(result, rows.NAMES, chart, 'labels', 'labelled images')
    elif args.command == 'lengths' and len(args.detect_iters) > 1:
        charts.ap_over(result, rows.NAMES, chart, 'detect_iters', 'steps of the detector')
    elif args.command == 'curves':
        charts.ap_over(result, rows.NAMES, chart, 'pretrain_iters', 'steps of pre-training')
    else:
        charts.ap_bars(result, rows.NAMES, chart)
    if args.command == 'starts' and len(args.rates) > 1:
        over_rates = chart.with_stem(f'{chart.stem}_rates')
        charts.ap_over(dict(rows=result['tried']), rows.NAMES, over_rates, 'lr', 'learning rate')
    if drawn := losses.rows_of(result, rows.NAMES):
        losses.picture(drawn, chart.with_stem(f'{chart.stem}_loss'))
    return result, arms.table(result)


def main():
    args = parse_args()
    out = Path(args.out or f'{args.work_dir}/{args.command}.json')
    check_out(out)
    run = run_transfer if args.command == 'transfer' else run_nuclei
    runs = Runs(args.work_dir, args.jobs, show, args.known)
    result, table = run(args, runs, out.with_suffix('.png'))
    write_result(out, result, table)
    print(f'\n{table}\nwritten to {out}, and {out.with_suffix(".png")}')


if __name__ == '__main__':
    run_command(main)
