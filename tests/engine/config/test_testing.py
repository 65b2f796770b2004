"""Switches of ``mmum test``: what they make of a config."""

from mmengine.config import Config

from mmum.engine.config import wrapped_dataset_cfgs
from mmum.engine.config.testing import set_tta
from tests.helpers import ROOT


def test_every_data_set_inside_wrappers_gets_the_flips():
    cfg = Config.fromfile(ROOT / 'configs' / 'detection' / 'mask-rcnn_um-swin-nano_fpn_mini.py')
    part = cfg.test_dataloader.dataset
    whole = dict(type='ConcatDataset', datasets=[part, dict(part, ann_file='other.json')])
    cfg.test_dataloader = dict(dataset=dict(type='RepeatDataset', times=2, dataset=whole))
    set_tta(cfg)
    first, second = wrapped_dataset_cfgs(cfg.test_dataloader.dataset)
    assert second.ann_file == 'other.json'
    for dataset in (first, second):
        assert [t.type for t in dataset.pipeline][-1] == 'TestTimeAug'
        assert len(dataset.pipeline) == len(part.pipeline)
