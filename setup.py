"""Packaging of mmum.

Nothing here forces a version over what is installed: torch, mmengine, mmcv, mmdet and mmpretrain
are extras, of which a user takes exactly one (the OneDL forks and the originals install the same
import names, so both together overwrite each other's files). ``import mmum`` checks what is there
and says what is missing.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

setup(
    name='mmum',
    version=re.search(r"__version__ = '(.+)'", (HERE / 'mmum' / '__init__.py').read_text())[1],
    description='UM-MAE pre-training of pyramid vision transformers for OpenMMLab',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmum', 'mmum.*']),
    python_requires='>=3.10',
    install_requires=['numpy', 'packaging', 'psutil', 'pycocotools', 'safetensors', 'simplejpeg'],
    extras_require={
        # the maintained forks of OpenMMLab; the tested versions are in constraints.txt
        'onedl': [
            'onedl-mmengine>=0.10.12',
            'onedl-mmcv>=2.3.6',
            'onedl-mmdetection>=3.5.1',
            'onedl-mmpretrain>=1.3.6',
        ],
        # the original packages, for an environment that already has them
        'openmmlab': ['mmengine>=0.10.3', 'mmcv>=2.0.0,<2.2', 'mmdet>=3.3.0', 'mmpretrain>=1.2.0'],
        'mini': ['scikit-image', 'scikit-learn'],
        # um_mae_swin_l_deepspeed.py; mmengine 0.10 does not know 0.19
        'deepspeed': ['deepspeed<0.19'],
        'test': ['pytest', 'pytest-xdist', 'scikit-image', 'scikit-learn', 'timm'],
        'lint': ['codespell', 'mypy', 'ruff'],
    },
)
