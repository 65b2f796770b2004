"""KEY=VALUE words anywhere on the command line."""

import pytest

from mmum.cli.command import add_config_options, argument_parser


@pytest.fixture
def parser():
    parser = argument_parser('A command.')
    parser.add_argument('config')
    parser.add_argument('--work-dir')
    parser.add_argument('--resume', nargs='?', const='auto')
    parser.add_argument('--amp', nargs='?', const='auto', choices=['auto', 'bf16'])
    parser.add_argument('--tta', action='store_true')
    add_config_options(parser)
    return parser


@pytest.mark.parametrize(
    'line',
    [
        'c.py --cfg-options data_root=x a.b.0=3 --tta',
        'c.py data_root=x a.b.0=3 --tta',
        'data_root=x c.py --tta a.b.0=3',
        'c.py --tta data_root=x --cfg-options a.b.0=3',
        '--cfg-options data_root=x --tta --cfg-options a.b.0=3 -- c.py',
    ],
)
def test_wherever_they_are(parser, line):
    args = parser.parse_args(line.split())
    assert args.config == 'c.py' and args.tta
    assert args.cfg_options == {'data_root': 'x', 'a.b.0': 3}


def test_optional_values_do_not_take_them(parser):
    args = parser.parse_args('c.py --resume data_root=x --amp lr=1'.split())
    assert (args.resume, args.amp) == ('auto', 'auto')
    assert args.cfg_options == dict(data_root='x', lr=1)
    args = parser.parse_args('c.py --resume x.pth --amp bf16'.split())
    assert (args.resume, args.amp, args.cfg_options) == ('x.pth', 'bf16', None)


def test_a_value_that_an_option_needs_stays_with_it(parser):
    args = parser.parse_args('c.py --work-dir lr=1 --tta'.split())
    assert args.work_dir == 'lr=1' and args.cfg_options is None


def test_a_file_with_such_a_name(parser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'lr=1.py').write_text('')
    assert parser.parse_args(['lr=1.py']).config == 'lr=1.py'


def test_what_is_no_pair_is_named(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args('c.py --cfg-options lr'.split())
    assert '--cfg-options takes KEY=VALUE, and got lr' in capsys.readouterr().err


def test_what_cannot_be_read_is_named(parser, capsys):
    """mmengine takes such a value apart without end."""
    with pytest.raises(SystemExit):
        parser.parse_args('c.py lr=1 arch=dict(depths=(1,1),heads=(2,2))'.split())
    assert 'cannot read arch=dict(depths=(1,1),heads=(2,2)): ' in capsys.readouterr().err
    assert parser.parse_args('c.py a.b=(1,2) c=[3,4] d=None'.split()).cfg_options == {
        'a.b': (1, 2),
        'c': [3, 4],
        'd': None,
    }
