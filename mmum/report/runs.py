"""Read what a run left in its work directory."""

import json
import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmum.datasets.shards import NAMES
from mmum.engine.config.differences import flatten
from mmum.errors import InputError

STAMP = '%Y%m%d_%H%M%S'
# Lines of a log that belong on the time line, beside all warnings.
EVENTS = ('resumed epoch', 'rolling back', 'training is complete')
LINE = re.compile(r'(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - \w+ - (\w+) - (.*)')
NOISE = ('The prefix is not set', 'Failed to search registry')
# Top-level keys that say how a run was started, not what it does.
NOT_COMPARED = ('work_dir', 'launcher', 'verbose', 'load_from', 'resume', 'experiment_name')


@dataclass
class Run:
    """A work directory.

    Attributes:
        folder (Path): The directory.
        name (str): In the report.
    """

    folder: Path
    name: str
    starts: list[Path] = field(init=False)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise InputError(f'the work directory {self.folder} does not exist')
        logs = [*self.folder.glob('*/*.log'), *self.folder.glob('*/vis_data/scalars.json')]
        starts = {self.folder / log.relative_to(self.folder).parts[0] for log in logs}
        self.starts = sorted(starts)
        if not logs:
            raise InputError(
                f'{self.folder} is not the work directory of a run: it has no TIME/TIME.log'
            )

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """The log of all starts, without a line that a kill cut off."""
        found = []
        for start in self.starts:
            scalars = start / 'vis_data' / 'scalars.json'  # absent until a step is logged
            for line in scalars.read_text().splitlines() if scalars.is_file() else ():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue
        return [line for line in found if isinstance(line, dict) and 'step' in line]

    def curve(self, key: str) -> list[tuple[float, float]]:
        """(step, value) of a scalar, finite, in order; of a step that was made again, the last."""
        points = {
            line['step']: float(line[key])
            for line in self.lines
            if isinstance(line.get(key), (int, float)) and math.isfinite(line[key])
        }
        return sorted(points.items())

    @property
    def keys(self) -> list[str]:
        """Scalars of training steps and of validations, in the order of their first line."""
        return list(dict.fromkeys(key for line in self.lines for key in line))

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The last validation: scalars of lines without a learning rate."""
        found: dict[str, float] = {}
        for line in self.lines:
            if 'lr' not in line:
                found.update(
                    (key, value)
                    for key, value in line.items()
                    if isinstance(value, (int, float)) and key not in ('step', 'data_time', 'time')
                )
        return found

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config that ran, flat: dotted key -> value as text."""
        files = sorted(self.folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
        if not files:
            return {}
        try:
            content = Config.fromfile(str(files[-1])).to_dict()
        except Exception:  # it is the user's, and the report does without
            return {}
        flat = flatten({k: v for k, v in content.items() if k not in NOT_COMPARED})
        return {key: value for key, value in flat.items() if not key.endswith('bad_images')}

    @property
    def config_name(self) -> str:
        """Name of the config."""
        files = sorted(self.folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
        return files[-1].stem if files else '-'

    @cached_property
    def events(self) -> list[tuple[datetime, str]]:
        """Starts, resumes, warnings and the end, with their time."""
        found: list[tuple[datetime, str]] = []
        for start in self.starts:
            try:
                found.append((datetime.strptime(start.name, STAMP), 'started'))
            except ValueError:
                continue
            said = set()
            for log in start.glob('*.log'):
                for line in log.read_text(errors='replace').splitlines():
                    match = LINE.match(line)
                    if match is None or match[3].startswith(NOISE) or match[3] in said:
                        continue
                    if match[2] in ('WARNING', 'ERROR') or any(e in match[3] for e in EVENTS):
                        said.add(match[3])
                        when = datetime.strptime(match[1], '%Y/%m/%d %H:%M:%S')
                        found.append((when, match[3]))
        return sorted(found)

    @property
    def bad_images(self) -> list[str]:
        """Images that were replaced, each with the reason."""
        path = self.folder / 'bad_images.txt'
        return path.read_text(**NAMES).splitlines() if path.is_file() else []

    @property
    def reconstructions(self) -> list[tuple[str, Path]]:
        """(epoch or step, picture), in their order."""
        return _numbered((self.folder / 'reconstruction').glob('*.png'))

    @property
    def predictions(self) -> dict[str, Path]:
        """Number of a validation image -> its last picture of truth and prediction."""
        found: dict[str, Path] = {}
        for start in self.starts:
            for _, path in _numbered((start / 'vis_data' / 'vis_image').glob('*.png')):
                match = re.match(r'(?:detections|segmentation)_(\d+)_', path.name)
                if match:
                    found[match[1]] = path
        return found


def _numbered(paths: Any) -> list[tuple[str, Path]]:
    """Pictures by the last number in their names."""

    def number(path: Path) -> int:
        return int((re.findall(r'\d+', path.stem) or ['0'])[-1])

    return [(path.stem.replace('_', ' '), path) for path in sorted(paths, key=number)]


def name_runs(folders: list[str]) -> list[Run]:
    """Make runs, each with the shortest end of its path that tells it from the others."""
    paths = [Path(folder).resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise InputError(f'{" ".join(folders)} should be different work directories')
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return [Run(path, '/'.join(path.parts[-depth:])) for path in paths]
