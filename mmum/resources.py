"""Let a config anywhere on disk inherit from mmum's: ``_base_ = 'mmum::detection/...'``.

mmengine resolves ``PACKAGE::`` for a closed list of packages, and gives every type of such a base
the scope of its package. mmum has no registries of its own, so that scope would find neither mmdet
nor mmpretrain. Here ``mmum::`` resolves to a path, and types keep the ``default_scope`` of the
config, as if the file had been named by its path. The list knows mmseg as ``mmsegmentation`` alone,
so ``mmseg::`` fails where its fork is installed: here it then resolves to the package.

The launchers of mmdet and mmpretrain read a config before anything in it can import mmum. So
setup.py installs a copy of this file as ``_mmum_bases.py``, with a ``.pth`` that calls
:func:`extend_on_import` when Python starts. It costs nothing before mmengine is imported. For that
reason this file imports the standard library only.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PREFIX = 'mmum::'
CONFIG_MODULE = 'mmengine.config.config'


def resources() -> Path:
    """Folder with ``configs/`` and ``tools/``: in a wheel ``mmum/.mim``, in a clone its root."""
    spec = importlib.util.find_spec('mmum')
    assert spec is not None and spec.submodule_search_locations
    package = Path(next(iter(spec.submodule_search_locations)))
    shipped = package / '.mim'
    return shipped if (shipped / 'configs').is_dir() else package.parent


def base_path(name: str) -> str:
    """Path of the config that ``mmum::NAME`` names.

    Raises:
        FileNotFoundError: If there is none.
    """
    configs = resources() / 'configs'
    path = configs / name.removeprefix(PREFIX)
    path = path if path.suffix == '.py' else path.with_name(f'{path.name}.py')
    if not path.is_file():
        near = sorted(p.relative_to(configs).as_posix() for p in configs.glob(f'*/{path.name}'))
        hint = f'did you mean {PREFIX}{near[0]}?' if near else '`mmum configs` lists them'
        raise FileNotFoundError(f'mmum has no config {name.removeprefix(PREFIX)}: {hint}')
    return str(path)


def extend(config_class: Any) -> None:
    """Let mmengine's ``Config`` resolve ``mmum::``; a second call changes nothing."""
    resolve = config_class._get_cfg_path
    if getattr(resolve, 'knows_mmum', False):
        return

    def resolve_mmum(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(PREFIX):
            return base_path(cfg_path), None
        found: tuple[str, str | None] = resolve(cfg_path, filename)
        return found

    resolve_mmum.knows_mmum = True  # type: ignore[attr-defined]
    config_class._get_cfg_path = staticmethod(resolve_mmum)
    # mmengine.hub looks its packages up here
    packages = sys.modules['mmengine.config.utils'].MODULE2PACKAGE  # type: ignore
    packages['mmum'] = 'mmum'
    try:
        version(packages['mmseg'])
    except PackageNotFoundError:
        packages['mmseg'] = 'mmseg'


class _ExtendOnImport:
    """Finder of one module, mmengine's config, which is extended once it is loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != CONFIG_MODULE:
            return None
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_extend(module: Any) -> None:
                load(module)
                extend(module.Config)

            spec.loader.exec_module = load_and_extend  # type: ignore[method-assign]
        return spec


def extend_on_import() -> None:
    """Extend mmengine's ``Config`` as soon as it is imported."""
    sys.meta_path.insert(0, _ExtendOnImport())  # type: ignore[arg-type]
