"""Check, on import, that mmum's requirements are there, and mend what does not load."""

import contextlib
import glob
import importlib
import importlib.metadata
import importlib.util
import io
import logging
import os
import sys
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
COMPILED = {'pycocotools': 'pycocotools.mask'}  # the half that another numpy may break
# system libraries of OpenCV's windows, which servers and containers lack
OF_WINDOWS = ('libGL', 'libgthread', 'libglib', 'libxcb', 'libX', 'libSM', 'libICE')
# onedl-mmcv compiles its operators if torch is there while it is built, and pip caches a build
# without them, or for another torch, as readily as the right one.
INSTALL_OPERATORS = (
    'pip install --no-cache-dir --no-build-isolation --force-reinstall --no-deps onedl-mmcv'
)
# onedl-mmcv 2.3.6 asks the compiler for C++17, and the headers of this torch want C++20
FIRST_OF_CXX20 = Version('2.14')


@cache
def fault_of_operators() -> str | None:
    """Words on what is wrong with mmcv's compiled operators; None if they load.

    Where they do not load, mmcv looks as if it had none: then upstream does without them, where it
    can.
    """
    if importlib.util.find_spec('mmcv._ext') is None:
        return 'this mmcv has none'
    try:
        importlib.import_module('torch')  # they need its libraries
        importlib.import_module('mmcv._ext')
    except Exception as error:
        sys.modules['mmcv._ext'] = None  # type: ignore[assignment]
        return f'those of this mmcv, maybe compiled for another torch, do not load ({error})'
    return None


def how_to_compile() -> str:
    """The commands that compile mmcv's operators for the torch that is installed."""
    torch = Version(importlib.metadata.version('torch'))
    if torch < FIRST_OF_CXX20:
        return INSTALL_OPERATORS
    return (
        f'onedl-mmcv 2.3.6 does not compile beside torch {torch}, so first '
        f"pip install 'torch<{FIRST_OF_CXX20}' torchvision, then {INSTALL_OPERATORS}"
    )


@cache
def why_no_detection() -> str | None:
    """Reason, in a sentence, why detectors cannot be built; None if they can."""
    install = "pip install 'mmum[detection]'"
    if importlib.util.find_spec('mmdet') is None:
        return f'detectors need mmdet, which is not installed: {install}'
    fault = fault_of_operators()
    if fault:
        return f'detectors need the compiled operators of mmcv, and {fault}: {how_to_compile()}'
    try:
        _import_quietly('mmdet.datasets', 'mmdet.evaluation')
    except Exception as error:
        return f'detectors need mmdet, and the one installed does not import ({error}): {install}'
    return None


def can_detect() -> bool:
    """Whether what detectors need is there: mmdet, and mmcv's operators."""
    return why_no_detection() is None


@cache
def why_no_segmentation() -> str | None:
    """Reason, in a sentence, why segmentation models cannot be built; None if they can."""
    install = "pip install 'mmum[segmentation]'"
    if importlib.util.find_spec('mmseg') is None:
        return f'segmentation needs mmseg, which is not installed: {install}'
    try:
        _import_quietly('mmseg.datasets', 'mmseg.models')
    except Exception as error:
        return (
            f'segmentation needs mmseg, and the one installed does not import ({error}): {install}'
        )
    return None


def can_segment() -> bool:
    """Whether what segmentation models need is there: mmseg."""
    return why_no_segmentation() is None


def gpu_out_of_reach() -> str | None:
    """Reason why torch does not reach the NVIDIA GPU of this machine; None if it does, if there is
    none, or if CUDA_VISIBLE_DEVICES hides it."""
    import torch

    hidden = os.environ.get('CUDA_VISIBLE_DEVICES', 'all') in ('', '-1')
    if hidden or torch.cuda.is_available() or not glob.glob('/dev/nvidia[0-9]*'):
        return None
    if torch.version.cuda is None:
        return f'torch {torch.__version__} has no CUDA: install a torch that has it'
    return (
        f'torch {torch.__version__} does not reach it: the driver must be as new as CUDA '
        f'{torch.version.cuda} (nvidia-smi names its own), or install a torch of an older CUDA'
    )


def default_device() -> str:
    """'cuda' where torch reaches a GPU, else 'cpu'; a warning says so where there is a GPU."""
    import torch
    from mmengine.logging import print_log

    if torch.cuda.is_available():
        return 'cuda'
    reason = gpu_out_of_reach()
    if reason:
        sentence = f'this machine has an NVIDIA GPU, and its CPU is used, because {reason}'
        print_log(sentence, 'current', logging.WARNING)
    return 'cpu'


def check_environment() -> None:
    """Raise ImportError, in one sentence, unless everything that pre-training needs works."""
    for name, (low, high, install) in REQUIRED.items():
        if importlib.util.find_spec(name) is None:
            if name in FOR_DETECTION:
                continue
            raise ImportError(f'mmum needs {name}, which is not installed: pip install {install}')
        if name == 'torchvision':
            _mend_torchvision()
        if name == 'mmpretrain':
            fault_of_operators()  # before it imports mmdet, which would import them
        try:
            found = getattr(importlib.import_module(COMPILED.get(name, name)), '__version__', None)
        except Exception as error:
            raise ImportError(
                f'mmum needs {name}, and the one installed does not import ({error}): '
                f'{_repair(error, install)}'
            ) from error
        if low and not Version(low) <= Version(str(found)) < Version(str(high)):
            raise ImportError(
                f'mmum needs {name} >= {low}, < {high}, and found {found}: pip install {install}'
            )
    _mend_multimodal()
    _import_quietly('mmpretrain.datasets')


def _repair(error: Exception, install: str) -> str:
    """Remedy for a package that does not import."""
    if str(error).startswith(OF_WINDOWS):
        return (
            'OpenCV wants this system library for windows: install it, or an OpenCV without '
            'windows by pip install --force-reinstall --no-deps opencv-python-headless'
        )
    return f'reinstall it with pip install --force-reinstall {install}'


def _import_quietly(*modules: str) -> None:
    """Import modules of the forks, which say on import which optional packages are not there."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for module in modules:
            importlib.import_module(module)


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
