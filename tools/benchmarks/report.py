"""Head of every result file (command, hardware, versions, date), and its table."""

import datetime
import json
import platform
import re
import resource
import shlex
import sys
from collections import Counter
from pathlib import Path

import torch

import mmum
from mmum.engine.scale.precision import cpu_has_bfloat16
from mmum.errors import InputError
from mmum.files import atomic_write, check_writable


def hardware():
    """In words, without names of machines."""
    if torch.cuda.is_available():
        return f'{torch.cuda.device_count()} x {torch.cuda.get_device_name()}'
    name = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith('model name')]
        name = lines[0].split(':')[1].strip() if lines else name
    threads = torch.get_num_threads()
    bfloat16 = f'{"with" if cpu_has_bfloat16() else "without"} bfloat16 arithmetic'
    return f'{threads} CPU core{"s" if threads > 1 else ""} ({name}; {bfloat16})'


def peak_rss_mb():
    """Peak memory of this process in MB: of Linux's own high-water mark where there is one.

    What getrusage says begins with the peak of the process that this one was started from.
    """
    status = Path('/proc/self/status')
    if status.exists():
        return (
            next(
                int(line.split()[1])
                for line in status.read_text().splitlines()
                if line.startswith('VmHWM')
            )
            * 1024
            / 1e6
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def program():
    """The command that runs: of the clone ``python tools/X.py``, of the wheel ``mmum X``."""
    path = Path(sys.argv[0])
    return ['mmum', path.stem] if '.mim' in path.parts else ['python', str(path)]


def made_here():
    """Place and time: hardware, date and versions."""
    return dict(
        hardware=hardware(),
        date=datetime.date.today().isoformat(),
        versions=dict(mmum=mmum.__version__, torch=torch.__version__),
    )


def provenance():
    """The head of a result file."""
    command = shlex.join([*program(), *[str(argument) for argument in sys.argv[1:]]])
    return dict(command=command, **made_here())


def markdown_table(head, rows, caption):
    """Rows of strings below a head, as Markdown; the caption first."""
    lines = [caption, '', f'| {" | ".join(head)} |', f'| {" | ".join("---" for _ in head)} |']
    return '\n'.join([*lines, *(f'| {" | ".join(map(str, row))} |' for row in rows)]) + '\n'


def caption_of(result):
    """Command, hardware and date of a result, for its table; and of the runs that it records, in
    what those differ that were made elsewhere or earlier."""
    head, record = result['provenance'], result.get('record', {})
    here = _parts(head)
    others = Counter(tuple(_parts(run['made'])) for run in record.values() if 'made' in run)
    caption = f'`{head["command"]}`, {", ".join(here)}.'
    for parts, number in others.items():
        differ = [part for part in parts if part not in here]
        if differ:
            caption += f' {number} of its {len(record)} runs: {", ".join(differ)}.'
    return caption


def _parts(made):
    versions = made['versions']
    return [
        made['hardware'],
        f'torch {versions["torch"]}',
        f'mmum {versions["mmum"]}',
        made['date'],
    ]


def check_out(path):
    """Raises InputError, before hours are spent, unless a result file can be written there."""
    path = Path(path)
    if path.suffix != '.json':
        raise InputError(f'--out {path} should end in .json')
    check_writable(path.parent, f'--out {path}')


def write_result(path, result, table):
    """Write the JSON, and the table beside it as Markdown."""
    path = Path(path)
    try:
        atomic_write(path, (json.dumps(result, indent=1) + '\n').encode())
        atomic_write(path.with_suffix('.md'), table.encode())
    except OSError as error:
        raise InputError(
            f'{path} cannot be written ({error.strerror}): give another --out'
        ) from error


def publish(page, results):
    """Put result tables into a page: whatever stands between ``<!-- NAME -->`` and ``<!-- end
    -->``.

    Args:
        page (Path): The page, rewritten in place.
        results (Path): Folder of the tables ``NAME.md``.

    Returns:
        bool: Whether the page has tables.
    """

    def replace(match):
        table = (results / f'{match[1]}.md').read_text()
        return f'<!-- {match[1]} -->\n{table}<!-- end -->'

    before = page.read_text()
    text = re.sub(r'<!-- (\w+) -->\n.*?<!-- end -->', replace, before, flags=re.S)
    page.write_text(text)
    return '<!-- end -->' in before
