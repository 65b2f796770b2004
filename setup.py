"""Packaging of mmum.

Nothing here forces a version over what is installed: torch, mmengine, mmcv, mmdet and mmpretrain
are extras, of which a user takes exactly one (the OneDL forks and the originals install the same
import names, so both together overwrite each other's files). ``import mmum`` checks what is there
and says what is missing.
"""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
RESOURCES = ('configs', 'tools', 'model-index.yml')
# Runs when Python starts: see mmum/resources.py.
STARTUP = 'import _mmum_bases; _mmum_bases.extend_on_import()\n'

PRETRAIN = [
    'torch>=2.6',
    'torchvision>=0.21',
    'onedl-mmengine>=0.10.12',
    'onedl-mmcv>=2.3.6',
    'onedl-mmpretrain>=1.3.6',
]
# the operators of onedl-mmcv 2.3.6 do not compile beside torch 2.14
DETECTION = [*PRETRAIN, 'torch<2.14', 'onedl-mmdetection>=3.5.1']
SEGMENTATION = [*PRETRAIN, 'onedl-mmsegmentation>=1.4.2']


class BuildWithResources(build_py):
    """Put configs, tools and the model index into ``mmum/.mim``, as OpenMMLab's packages have them.

    A wheel gets copies, an editable install links. Both get the start-up file of ``mmum::`` bases.
    """

    def run(self):
        root = Path(self.build_lib)
        if self.editable_mode:
            root = Path(self.get_finalized_command('install').install_lib)
        else:
            shutil.rmtree(root / 'mmum', ignore_errors=True)  # what an earlier build left
        super().run()
        target = (HERE if self.editable_mode else root) / 'mmum' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in RESOURCES:
            source = HERE / name
            if self.editable_mode:
                (target / name).symlink_to(source.resolve(), target_is_directory=source.is_dir())
            elif source.is_dir():
                ignore = shutil.ignore_patterns('__pycache__', 'install.sh')
                shutil.copytree(source, target / name, ignore=ignore)
            else:
                shutil.copy(source, target / name)
        root.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / 'mmum' / 'resources.py', root / '_mmum_bases.py')
        (root / 'mmum_bases.pth').write_text(STARTUP)


setup(
    name='mmum',
    version=re.search(r"__version__ = '(.+)'", (HERE / 'mmum' / '__init__.py').read_text())[1],
    description='UM-MAE pre-training of pyramid vision transformers for OpenMMLab',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    author='The mmum authors',
    keywords='masked autoencoder, self-supervised learning, Swin, PVT, ViT, object detection',
    license='Apache-2.0',
    license_files=['LICENSE'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    packages=find_packages(include=['mmum', 'mmum.*']),
    package_data={'mmum': ['py.typed', 'report/page.css', 'report/page.js']},
    cmdclass={'build_py': BuildWithResources},
    entry_points={'console_scripts': ['mmum = mmum.cli.main:run']},
    python_requires='>=3.10',
    install_requires=[
        'filelock',
        'numpy',
        'packaging',
        'psutil',
        'pycocotools',
        'rich',
        'safetensors',
        'simplejpeg',
    ],
    extras_require={
        # the maintained forks of OpenMMLab; the tested versions are in constraints.txt
        'pretrain': PRETRAIN,  # pre-training, classification, conversion: no compiled operators
        'detection': DETECTION,  # detectors too: mmcv with its operators, see docs/install.md
        'segmentation': SEGMENTATION,  # no compiled operators either
        'onedl': [*DETECTION, *SEGMENTATION],
        # the original packages, for an environment that already has them
        'openmmlab': [
            'mmengine>=0.10.3',
            'mmcv>=2.0.0,<2.2',
            'mmdet>=3.3.0',
            'mmpretrain>=1.2.0',
            'mmsegmentation>=1.2.0',
        ],
        'mini': ['matplotlib', 'scikit-image', 'scikit-learn'],
        'tensorboard': ['tensorboard'],
        'wandb': ['wandb'],
        # um_mae_swin_l_deepspeed.py; mmengine 0.10 does not know 0.19
        'deepspeed': ['deepspeed<0.19'],
        'test': [
            'hypothesis',
            'pytest',
            'pytest-xdist',
            'scikit-image',
            'scikit-learn',
            'tensorboard',
            'timm',
        ],
        'lint': ['codespell', 'mypy', 'ruff'],
        # of Python 3.10 they want another Markdown than rich
        'docs': [
            f'{name}; python_version >= "3.11"'
            for name in ('furo', 'myst-parser', 'sphinx', 'sphinx-copybutton')
        ],
    },
)
