"""mmum: UM-MAE (Uniform Masking, arXiv 2205.10063) for OpenMMLab.

Importing it registers everything.
"""

from mmum.environment import check_environment

check_environment()

from mmengine.config import Config  # noqa: E402

from mmum import checkpoints, datasets, engine, evaluation, models, resources  # noqa: E402
from mmum.api import (  # noqa: E402
    embed,
    export,
    load_backbone,
    pretrain,
    register_with_mmpretrain,
    register_with_timm,
)

__version__ = '0.2.0'
__all__ = [
    'checkpoints',
    'datasets',
    'embed',
    'engine',
    'evaluation',
    'export',
    'load_backbone',
    'models',
    'pretrain',
]

resources.extend(Config)
register_with_mmpretrain()
register_with_timm()
