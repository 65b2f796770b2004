"""Pictures of predictions harm no training and no image."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from mmum.engine import DetectionPicturesHook, SegmentationPicturesHook, pictures
from mmum.engine.detection_hook import enlarge
from mmum.errors import InputError


@pytest.fixture(params=[DetectionPicturesHook, SegmentationPicturesHook])
def hook(request):
    return request.param(max_images=2)


def run(hook, path, inputs, draw):
    """One validation of two batches; what was drawn."""
    sample = SimpleNamespace(img_path=str(path), ori_shape=(480, 720))
    drawn = []

    def add_datasample(name, image, data_sample=None, **kwargs):
        draw()
        drawn.append((name, image, kwargs['step']))

    visualizer = SimpleNamespace(add_datasample=add_datasample)
    runner = SimpleNamespace(visualizer=visualizer, iter=7)
    for index in range(3):
        hook.after_val_iter(runner, index, dict(inputs=[inputs]), [sample])
    return drawn


def test_the_first_image_of_each_of_the_first_batches(hook, tmp_path):
    image = np.random.RandomState(0).randint(0, 255, (480, 720, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    drawn = run(hook, tmp_path / 'a.png', None, lambda: None)
    assert len({name for name, _, _ in drawn}) == 2 and {step for _, _, step in drawn} == {7}
    assert np.array_equal(drawn[0][1], image[..., ::-1])


def test_of_many_bands_the_first_three_are_drawn(hook, tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros((5, 480, 720)))
    drawn = run(hook, tmp_path / 'a.npy', torch.randn(5, 20, 30), lambda: None)
    assert drawn[0][1].shape == (480, 720, 3) and drawn[0][1].std() > 10


def test_what_cannot_be_drawn_is_said_once(hook, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(pictures, '_said', set())
    monkeypatch.setattr(pictures, 'print_log', lambda text, *_: said.append(text))

    def fail():
        raise ValueError('no palette')

    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((480, 720, 3), np.uint8))
    assert run(hook, tmp_path / 'a.png', None, fail) == []
    assert len(said) == 1 and 'cannot be drawn (no palette): training continues without' in said[0]
    assert run(hook, tmp_path / 'absent.png', None, lambda: None) == [] and len(said) == 1


def test_a_test_draws_all_images(hook, tmp_path):
    """Also on ranks other than the first, and images of one name in two folders."""
    images = [tmp_path / 'images' / folder / '1.png' for folder in 'ab']
    for image in images:
        image.parent.mkdir(parents=True)
        cv2.imwrite(str(image), np.zeros((480, 720, 3), np.uint8))
    dataset = [dict(img_path=str(image)) for image in images]
    drawn = []

    def add_datasample(name, image, data_sample=None, **kwargs):
        drawn.append((name, kwargs['out_file'], kwargs['show']))

    class Images(list):
        get_data_info = list.__getitem__

    runner = SimpleNamespace(
        visualizer=SimpleNamespace(add_datasample=add_datasample),
        test_dataloader=SimpleNamespace(dataset=Images(dataset)),
    )
    samples = [SimpleNamespace(img_path=str(image), ori_shape=(480, 720)) for image in images]
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, dict(inputs=[None, None]), samples)
    assert drawn == []  # nothing was asked for
    hook.show_dir = str(tmp_path / 'pictures')
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, dict(inputs=[None, None]), samples)
    wanted = [str(tmp_path / 'pictures' / folder / '1.jpg') for folder in 'ab']
    assert drawn == [('1.png', path, False) for path in wanted]
    hook.show_dir = str(tmp_path / 'images')
    with pytest.raises(InputError, match='--show-dir .* would put pictures into'):
        hook.before_test(runner)


def test_small_images_are_enlarged_with_what_is_drawn_on_them():
    image = np.random.RandomState(0).randint(0, 255, (40, 60, 3)).astype(np.uint8)
    mask = np.zeros((1, 40, 60), np.uint8)
    mask[:, 10:20, 5:25] = 1
    boxes = torch.tensor([[5.0, 10.0, 25.0, 20.0]])
    sample = DetDataSample()
    sample.gt_instances = InstanceData(bboxes=boxes, masks=BitmapMasks(mask, 40, 60))
    sample.pred_instances = InstanceData(bboxes=boxes, masks=torch.tensor(mask, dtype=torch.bool))
    large, drawn = enlarge(image, sample, 3)
    assert large.shape == (120, 180, 3)
    for instances in (drawn.gt_instances, drawn.pred_instances):
        assert instances.bboxes.tolist() == [[15, 30, 75, 60]]
        masks = instances.masks
        masks = masks.numpy() if isinstance(masks, torch.Tensor) else masks.to_ndarray()
        (rows, columns) = (np.flatnonzero(masks[0].any(axis)) for axis in (1, 0))
        assert (rows[0], rows[-1], columns[0], columns[-1]) == (30, 59, 15, 74)
    # the sample itself, which metrics read, is as it was
    assert sample.pred_instances.bboxes.tolist() == boxes.tolist()
    assert enlarge(image, sample, 1) == (image, sample)
