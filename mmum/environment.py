"""Check, on import, that mmum's requirements are there, and mend what does not load."""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import warnings
from functools import cache
from typing import Any

from packaging.version import Version

# import name: (lowest version that works, first that is not known to, what to install); a package
# for detectors alone may be missing
REQUIRED = {
    'torch': ('2.6', '3', 'torch'),
    'numpy': ('1.24', '3', 'numpy'),
    'mmengine': ('0.10.3', '1', '"mmum[pretrain]" (or mmengine)'),
    'mmcv': ('2.0.0', '2.4', '"mmum[pretrain]" (or mmcv)'),
    'pycocotools': (None, None, 'pycocotools'),
    'torchvision': ('0.21', '1', 'the torchvision that matches your torch'),
    'mmpretrain': ('1.2.0', '2', '"mmum[pretrain]" (or mmpretrain)'),
    'mmdet': ('3.3.0', '4', '"mmum[detection]" (or mmdet)'),
}
FOR_DETECTION = ('mmdet',)
# onedl-mmcv compiles its operators if torch is there while it is built, and pip caches a build
# without them as readily as one with them.
INSTALL_OPERATORS = (
    'pip install --no-cache-dir --no-build-isolation --force-reinstall --no-deps onedl-mmcv'
)


def has_operators() -> bool:
    """Whether mmcv has its compiled operators, which detectors need."""
    return importlib.util.find_spec('mmcv._ext') is not None


def can_detect() -> bool:
    """Whether what detectors need is there: mmdet, and mmcv's operators."""
    return importlib.util.find_spec('mmdet') is not None and has_operators()


@cache
def why_no_segmentation() -> str | None:
    """Reason, in a sentence, why segmentation models cannot be built; None if they can."""
    install = "pip install 'mmum[segmentation]'"
    if importlib.util.find_spec('mmseg') is None:
        return f'segmentation needs mmseg, which is not installed: {install}'
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            importlib.import_module('mmseg.datasets')
            importlib.import_module('mmseg.models')
    except Exception as error:
        return (
            f'segmentation needs mmseg, and the one installed does not import ({error}): {install}'
        )
    return None


def can_segment() -> bool:
    """Whether what segmentation models need is there: mmseg."""
    return why_no_segmentation() is None


def check_environment() -> None:
    """Raise ImportError, in one sentence, unless everything that pre-training needs works."""
    for name, (low, high, install) in REQUIRED.items():
        if importlib.util.find_spec(name) is None:
            if name in FOR_DETECTION:
                continue
            raise ImportError(f'mmum needs {name}, which is not installed: pip install {install}')
        if name == 'torchvision':
            _mend_torchvision()
        try:
            found = getattr(importlib.import_module(name), '__version__', None)
        except Exception as error:
            raise ImportError(
                f'mmum needs {name}, and the one installed does not import ({error}): reinstall it '
                f'with pip install --force-reinstall {install}'
            ) from error
        if low and not Version(low) <= Version(str(found)) < Version(str(high)):
            raise ImportError(
                f'mmum needs {name} >= {low}, < {high}, and found {found}: pip install {install}'
            )
    _mend_multimodal()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the forks say which optional packages are not there
        importlib.import_module('mmpretrain.datasets')
        if can_detect():
            importlib.import_module('mmdet.datasets')
            importlib.import_module('mmdet.evaluation')


def _mend_multimodal() -> None:
    """Let mmpretrain import beside transformers 5, of which its language models know nothing.

    mmpretrain wants any transformers from 4.28 on, and dies while it defines those models with
    another major version. Then they are left out, as where transformers is not installed at all.
    """
    from mmpretrain.utils import dependency

    try:
        transformers = Version(importlib.metadata.version('transformers'))
    except importlib.metadata.PackageNotFoundError:
        return
    if transformers.major >= 5:
        dependency.WITH_MULTIMODAL = False


def _mend_torchvision() -> None:
    """Let torchvision import beside a torch without CUDA, where its operators do not load.

    The registry's torchvision is compiled for CUDA. Next to a CPU build of torch its library fails
    to load, and the import then dies because torchvision describes (``register_fake``) operators
    that were never defined. mmpretrain only wants its image transforms. So, and only then, the two
    schemas are defined here, and nms gets mmcv's implementation.
    """
    import torch

    try:
        import torchvision  # noqa: F401

        return
    except RuntimeError as error:
        if 'torchvision::' not in str(error):
            raise
    library = torch.library.Library('torchvision', 'FRAGMENT')
    library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    library.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')

    def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
        from mmcv.ops import nms

        return nms(dets, scores, float(iou_threshold))[1]

    library.impl('nms', nms, 'CPU')
    _keep_alive.append(library)
    importlib.import_module('torchvision')


_keep_alive: list[Any] = []  # a torch Library takes its operators back when it is collected
