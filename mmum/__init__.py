"""mmum: UM-MAE (Uniform Masking, arXiv 2205.10063) for OpenMMLab.

Importing it registers everything.
"""

from mmum.environment import check_environment

check_environment()

from mmum import checkpoints, datasets, engine, evaluation, models  # noqa: E402

__version__ = '0.1.0'
__all__ = ['checkpoints', 'datasets', 'engine', 'evaluation', 'models']
