"""What is said of a run that is resumed with other settings."""

from mmum.engine.config.differences import other_settings

BEFORE = """
data_root = 'a'
model = dict(type='UMMAE', head=dict(norm_pix=True), backbone=dict(with_cp=True))
train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    dataset=dict(data_root='a', pipeline=[dict(type='A'), dict(type='B', scale=(1, 2))]))
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=None)
"""


def test_the_same():
    assert other_settings(BEFORE, BEFORE) == []


def test_settings_of_the_training_at_any_depth():
    now = BEFORE.replace("data_root='a'", "data_root='b'").replace('(1, 2)', '(2, 2)')
    now = now.replace('norm_pix=True', 'norm_pix=False').replace('clip_grad=None', 'steps=2')
    assert other_settings(BEFORE, now) == [
        'model.head.norm_pix True -> False',
        'train_dataloader.dataset.data_root a -> b',
        'train_dataloader.dataset.pipeline.1.scale [1, 2] -> [2, 2]',
        'optim_wrapper.clip_grad None -> absent',
        'optim_wrapper.steps absent -> 2',
    ]


def test_settings_without_effect_and_those_of_the_optimiser():
    """The optimiser has a comparison of its own, with what the checkpoint holds."""
    now = BEFORE.replace('num_workers=4', 'num_workers=0').replace('with_cp=True', 'with_cp=False')
    assert other_settings(BEFORE, now.replace('1e-3', '1e-4')) == []


def test_nothing_is_run():
    harmful = "model = dict(x=__import__('os').system('touch harm'))"
    assert other_settings(harmful, harmful) == []
    assert other_settings('no python (', BEFORE)[0] == 'model.type absent -> UMMAE'
