"""The wheel, in an environment that does not know the clone, from a directory elsewhere."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import mmdet
import mmpretrain
import pytest

from mmum.resources import resources
from tests.helpers import ROOT, SMALL_DETECTOR, SMALL_PRETRAINING

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp('wheel')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q']
    build = ['wheel', '--no-deps', '--no-build-isolation', '-w', out, ROOT]
    subprocess.run([*pip, *map(str, build)], check=True, cwd=out)
    return next(out.glob('mmum-*.whl'))


@pytest.fixture(scope='module')
def environment(wheel, tmp_path_factory):
    """An environment with the wheel, and with everything but mmum of the present one."""
    home = tmp_path_factory.mktemp('environment')
    venv.create(home)
    site = next(home.glob('lib/python3*/site-packages'))
    (site / 'rest.pth').write_text(str(Path(mmdet.__file__).parents[1]))
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q']
    pip += ['--python', home / 'bin' / 'python', 'install', '--no-deps', '--ignore-installed']
    subprocess.run([*map(str, pip), str(wheel)], check=True, cwd=home)
    return home / 'bin'


def run(environment, program, *args, cwd, check=True):
    """Run a program of the environment."""
    result = subprocess.run(
        [str(environment / program), *map(str, args)], cwd=cwd, capture_output=True, text=True
    )
    if check:
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def test_what_is_in_it(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        metadata = file.read(next(n for n in names if n.endswith('METADATA'))).decode()
    for folder in ('configs', 'tools'):
        for path in (ROOT / folder).rglob('*'):
            if path.is_file() and '__pycache__' not in path.parts and path.name != 'install.sh':
                assert f'mmum/.mim/{path.relative_to(ROOT)}' in names
    own = {n for n in names if n.startswith('mmum/') and n.endswith('.py') and '.mim' not in n}
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / 'mmum').rglob('*.py')}
    assert own == {name for name in modules if '.mim' not in name}
    assert {'mmum/.mim/model-index.yml', 'mmum/py.typed', 'mmum_bases.pth'} <= names
    assert '# mmum: UM-MAE for OpenMMLab' in metadata and 'Provides-Extra: pretrain' in metadata


def test_every_module_imports_without_the_clone(environment, tmp_path):
    modules = [
        '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
        for path in (ROOT / 'mmum').rglob('*.py')
        if '.mim' not in path.parts
    ]
    code = f"""
import importlib
for name in {modules!r}:
    module = importlib.import_module(name)
    assert module.__file__.startswith({str(environment.parent)!r}), module.__file__
from mmengine.hub import get_config
print(get_config('mmum::selfsup/um_mae_swin_t.py').model.type)
"""
    assert 'UMMAE' in run(environment, 'python', '-c', code, cwd=tmp_path)


def test_the_command(environment, tmp_path):
    listed = run(environment, 'mmum', 'configs', cwd=tmp_path)
    assert 'um_mae_swin_t ' in listed and 'htcpp_um-swin-l_fpn_6x_coco ' in listed
    assert run(environment, 'mmum', '--version', cwd=tmp_path).startswith('mmum ')
    assert 'usage: mmum demo' in run(environment, 'mmum', 'demo', '--help', cwd=tmp_path)
    said = run(environment, 'mmum', 'train', 'um_mae_swim_t', cwd=tmp_path, check=False)
    assert (
        said.strip()
        .splitlines()[-1]
        .startswith('error: the config um_mae_swim_t does not exist: did you mean um_mae_swin_t?')
    )


def test_configs_elsewhere_under_the_launchers_of_others(environment, mini, tmp_path):
    """mmpretrain's launcher pre-trains by an ``mmum::`` base, mmdet's starts from the result."""
    (tmp_path / 'pretrain.py').write_text("_base_ = ['mmum::selfsup/um_mae_swin_nano_mini.py']\n")
    (tmp_path / 'detect.py').write_text(
        "_base_ = 'mmum::detection/mask-rcnn_um-swin-nano_fpn_mini.py'\n"
        'optim_wrapper = dict(optimizer=dict(lr=_base_.optim_wrapper.optimizer.lr))\n'
    )
    launchers = {
        name: Path(package.__file__).parent / '.mim' / 'tools' / 'train.py'
        for name, package in dict(mmpretrain=mmpretrain, mmdet=mmdet).items()
    }
    options = ['--cfg-options', f'data_root={mini}/unlabelled', *SMALL_PRETRAINING]
    said = run(
        environment, 'python', launchers['mmpretrain'], 'pretrain.py', *options, cwd=tmp_path
    )
    backbone = tmp_path / 'work_dirs' / 'pretrain' / 'backbone.safetensors'
    assert backbone.is_file() and 'training is complete' in said
    options = [f'data_root={mini}/', f'pretrained={backbone}', *SMALL_DETECTOR]
    said = run(
        environment,
        'python',
        launchers['mmdet'],
        'detect.py',
        '--cfg-options',
        *options,
        cwd=tmp_path,
    )
    assert f'UMSwin: from {backbone}' in said and 'training is complete' in said
    assert (tmp_path / 'work_dirs' / 'detect' / 'epoch_1.pth').is_file()


def test_types_keep_the_scope_of_their_config(environment, tmp_path):
    """A base of mmum gives no type the scope of a package that has no registries."""
    (tmp_path / 'c.py').write_text("_base_ = 'mmum::detection/gfl_um-swin-t_fpn_25e_coco.py'\n")
    code = """
from mmengine.config import Config
import sys
assert 'mmum' not in sys.modules or 'torch' in sys.modules
text = Config.fromfile('c.py').pretty_text
print(text.count("_scope_='mmum'"), text.count("_scope_='mmdet'") > 0)
"""
    assert '0 True' in run(environment, 'python', '-c', code, cwd=tmp_path)


def test_a_base_that_is_not_there(environment, tmp_path):
    (tmp_path / 'c.py').write_text("_base_ = 'mmum::selfsup/um-mae_swin_t.py'\n")
    (tmp_path / 'd.py').write_text("_base_ = 'mmum::detection/um_mae_swin_t.py'\n")
    load = 'from mmengine.config import Config; Config.fromfile("{}")'
    said = run(environment, 'python', '-c', load.format('c.py'), cwd=tmp_path, check=False)
    assert 'FileNotFoundError: mmum has no config selfsup/um-mae_swin_t.py' in said
    said = run(environment, 'python', '-c', load.format('d.py'), cwd=tmp_path, check=False)
    assert 'did you mean mmum::selfsup/um_mae_swin_t.py?' in said


def test_an_editable_install_has_the_same_resources():
    assert (resources() / 'configs' / 'selfsup' / 'um_mae_swin_t.py').is_file()
    assert (resources() / 'tools' / 'demo.py').is_file()
