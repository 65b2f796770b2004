"""Gradients that are not finite: steps left out, going back, giving up."""

import json
import re

import pytest
import torch

from tests.helpers import BY_EPOCH, call_tool, curve, write_config

pytestmark = pytest.mark.slow

POISON = """
custom_hooks = [
    dict(type='NonFiniteGradHook', patience=3),
    dict(type='PoisonHook', begin={begin}, steps={steps}),
]
"""


def train(mini, tmp_path, begin, steps, name='run', more=''):
    """Trains 12 steps; images are not a number from iteration ``begin`` on, for so many steps."""
    config = write_config(tmp_path, mini, BY_EPOCH)
    config.write_text(config.read_text() + POISON.format(begin=begin, steps=steps) + more)
    return call_tool('tools/train.py', config, '--work-dir', tmp_path / name)


def test_a_single_step_is_left_out(mini, tmp_path):
    code, output = train(mini, tmp_path, 6, 1)
    assert code == 0 and output.count('non-finite gradients') == 1, output[-3000:]
    assert 'rolling back' not in output and not (tmp_path / 'run' / 'non_finite').exists()
    weights = torch.load(tmp_path / 'run' / 'epoch_3.pth', weights_only=False)['state_dict']
    assert all(value.isfinite().all() for value in weights.values())


def test_some_in_a_row_go_back_and_on_with_other_draws(mini, tmp_path):
    code, output = train(mini, tmp_path, 6, 3)
    assert code == 0, output[-3000:]
    assert re.search(
        r'3 steps in a row had non-finite gradients .*rolling back to .*epoch_1.pth', output
    )
    batches = json.loads((tmp_path / 'run' / 'non_finite' / 'iter_8.json').read_text())
    assert [batch['iteration'] for batch in batches] == [6, 7, 8] and batches[0]['loss'] == 'nan'
    images = batches[0]['images']
    assert len(images) == 4 and images[0]['path'].endswith('.jpg')
    assert len(images[0]['mask']) == 8 and set(''.join(images[0]['mask'])) == set('012')
    # steps 5 to 12 were made again, on the same images with other masks
    lines = [
        json.loads(line)
        for log in (tmp_path / 'run').glob('*/vis_data/2*.json')
        for line in log.read_text().splitlines()
    ]
    first, again = ([line['loss'] for line in lines if line.get('step') == 5][i] for i in (0, 1))
    assert first != again and [line['step'] for line in lines if 'loss' in line] == [
        *range(1, 8),
        *range(5, 13),
    ]
    assert all(line['lr'] > 0 for line in lines if 'loss' in line)


def test_it_gives_up_in_the_end(mini, tmp_path):
    code, output = train(mini, tmp_path, 6, 1000)
    assert (
        code == 2 and output.count('resumed epoch: 1') == 3
    )  # a warning in the same words is given once
    last = output.strip().splitlines()[-1]
    assert (
        last.startswith('error: 3 steps in a row')
        and 'epoch_1.pth: lower optim_wrapper.optimizer.lr' in last
        and 'after 3 roll-backs to' in last
    )


def test_before_there_is_a_checkpoint(mini, tmp_path):
    code, output = train(mini, tmp_path, 1, 1000)
    assert code == 2 and 'before there was a checkpoint: lower' in output.strip().splitlines()[-1]


def test_the_norm_is_logged_and_a_spike_noted(mini, tmp_path):
    """The norm is what clip_grad_norm_ finds, and watching changes nothing."""
    code, output = train(mini, tmp_path, 100, 0, 'watched')
    assert code == 0, output[-3000:]
    clipped = '\noptim_wrapper = dict(clip_grad=dict(max_norm=1e9))\n'
    assert train(mini, tmp_path, 100, 0, 'clipped', clipped)[0] == 0
    assert curve(tmp_path / 'watched') == curve(tmp_path / 'clipped')
    assert all(values['grad_norm'] > 0 for values in curve(tmp_path / 'watched').values())


@pytest.mark.parametrize('loss, noted', [(1.2, False), (30.0, True)])
def test_a_spike(loss, noted):
    from types import SimpleNamespace

    from mmum.engine import NonFiniteGradHook

    said = []
    runner = SimpleNamespace(iter=100, logger=SimpleNamespace(warning=said.append))
    hook = NonFiniteGradHook()
    for i in range(50):
        hook._note_spike(runner, 1 + 0.1 * (i % 3))
    hook._note_spike(runner, loss)
    assert bool(said) == noted
    if noted:
        assert 'the loss 30 is far above the last 50 (1.098 +- 0.082)' in said[0]
