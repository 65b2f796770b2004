"""LoadCropResize against LoadImageStrict and RandomResizedCrop: the same crops, nearly the same
pixels."""

import cv2
import numpy as np
import pytest
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from mmum.datasets import LoadCropResize
from mmum.datasets.transforms import loading
from mmum.datasets.transforms.loading import snap
from mmum.errors import InputError
from tests.helpers import SHARED


def stock(path, scale, seed, ratio=(0.2, 1.0)):
    np.random.seed(seed)
    results = dict(img_path=str(path))
    for transform in (
        dict(type='LoadImageStrict'),
        dict(
            type='RandomResizedCrop',
            scale=scale,
            crop_ratio_range=ratio,
            backend='pillow',
            interpolation='bicubic',
        ),
    ):
        results = TRANSFORMS.build({**transform, '_scope_': 'mmpretrain'})(results)
    return results['img']


def ours(path, scale, seed, ratio=(0.2, 1.0)):
    np.random.seed(seed)
    return LoadCropResize(scale, ratio)(dict(img_path=str(path)))['img']


def photograph(width, height):
    """Something smooth with edges, as photographs are."""
    random = np.random.RandomState(0)
    image = cv2.resize(
        random.randint(0, 255, (9, 12, 3), dtype=np.uint8),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    for _ in range(12):
        cv2.circle(
            image,
            (random.randint(width), random.randint(height)),
            random.randint(5, height // 4),
            [int(c) for c in random.randint(0, 255, 3)],
            -1,
        )
    return image


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    image = photograph(640, 480)
    cv2.imwrite(str(folder / 'small.jpg'), image)
    cv2.imwrite(str(folder / 'large.jpg'), photograph(1601, 1203))
    cv2.imwrite(str(folder / 'image.png'), image)
    cv2.imwrite(str(folder / 'grey.jpg'), image[..., 0])
    rgb = Image.fromarray(image[..., ::-1])
    rgb.convert('CMYK').save(folder / 'cmyk.jpg')
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.save(folder / 'turned.jpg', exif=exif)
    (folder / 'cut.jpg').write_bytes((folder / 'small.jpg').read_bytes()[:20000])
    return folder


@pytest.mark.parametrize('name', ['small.jpg', 'image.png', 'grey.jpg', 'cmyk.jpg', 'turned.jpg'])
@pytest.mark.parametrize('seed', range(3))
def test_undiminished_it_is_the_stock_pipeline(files, name, seed):
    """The same crop, and no pixel farther off than rounding in the resize and the decoder."""
    a, b = ours(files / name, 256, seed), stock(files / name, 256, seed)
    assert a.shape == b.shape == (256, 256, 3) and a.dtype == np.uint8
    difference = np.abs(a.astype(int) - b)
    assert difference.max() <= 8 and difference.mean() < 0.1 and (difference > 1).mean() < 0.002


@pytest.mark.parametrize('seed', range(8))
def test_diminished_it_is_close(files, seed):
    a, b = ours(files / 'large.jpg', 128, seed).astype(int), stock(files / 'large.jpg', 128, seed)
    difference = np.abs(a - b)
    # the crop snaps by at most half an output pixel: only edges move
    assert difference.mean() < 3 and np.median(difference) <= 1
    assert ((a - b) ** 2).mean() < 0.1 * ((b - b.mean()) ** 2).mean()


def test_on_real_photographs():
    paths = sorted((SHARED / 'coco_tiny').rglob('*.jpg'))[:10]
    if not paths:
        pytest.skip('photographs are absent')
    for i, path in enumerate(paths):
        a, b = ours(path, 96, i).astype(int), stock(path, 96, i)  # 640 px: half and quarter size
        assert (
            np.abs(a - b).mean() < 8 and ((a - b) ** 2).mean() < 0.15 * ((b - b.mean()) ** 2).mean()
        ), path.name


def test_the_decoder_is_asked_for_no_more_than_the_crop_needs(files, monkeypatch):
    asked = []
    real = loading.simplejpeg.decode_jpeg

    def decode(*args, **kwargs):
        image = real(*args, **kwargs)
        asked.append(image.shape[:2])
        return image

    monkeypatch.setattr(loading.simplejpeg, 'decode_jpeg', decode)
    for seed in range(20):
        ours(files / 'large.jpg', 256, seed)
        ours(files / 'large.jpg', 64, seed)
    assert set(asked) == {(602, 801), (301, 401), (151, 201)}


def test_without_simplejpeg(files, monkeypatch):
    monkeypatch.setattr(loading, 'simplejpeg', None)
    for name in ('small.jpg', 'large.jpg'):
        difference = np.abs(ours(files / name, 128, 1).astype(int) - stock(files / name, 128, 1))
        assert difference.max() <= 8 and difference.mean() < 0.1


@pytest.mark.parametrize('factor', [1, 2, 4, 8])
def test_snapped_crops_stay_inside(factor):
    for height, width in ((17, 33), (480, 641)):
        size = (-(-height // factor), -(-width // factor))
        for _ in range(200):
            h, w = np.random.randint(factor, height + 1), np.random.randint(factor, width + 1)
            box = (np.random.randint(0, height - h + 1), np.random.randint(0, width - w + 1), h, w)
            top, left, rows, columns = snap(box, factor, size)
            assert 0 <= top and 0 <= left and rows > 0 and columns > 0
            assert top + rows <= size[0] and left + columns <= size[1]
            assert abs(top - box[0] / factor) <= 1 and abs(rows - h / factor) <= 1


def test_flips_and_packing_follow(files):
    np.random.seed(0)
    results = dict(img_path=str(files / 'small.jpg'))
    for transform in (
        dict(type='LoadCropResize', scale=64),
        dict(type='RandomFlip', prob=1.0),
        dict(type='PackInputs'),
    ):
        results = TRANSFORMS.build({**transform, '_scope_': 'mmpretrain'})(results)
    assert results['inputs'].shape == (3, 64, 64) and results['inputs'].is_contiguous()
    assert np.array_equal(
        results['inputs'].numpy(), ours(files / 'small.jpg', 64, 0)[:, ::-1].transpose(2, 0, 1)
    )


@pytest.mark.parametrize('name', ['cut.jpg', 'absent.jpg', 'text.jpg'])
def test_bad_files_are_named(files, name):
    (files / 'text.jpg').write_text('no image')
    with pytest.raises(InputError, match=f'{name} cannot be read as an image'):
        ours(files / name, 64, 0)


@pytest.mark.parametrize('name', ['small.jpg', 'large.jpg', 'image.png'])
def test_repeated_images_are_decoded_once_where_that_is_fine_enough(files, name, monkeypatch):
    read = []
    real = loading.fileio.get
    monkeypatch.setattr(loading.fileio, 'get', lambda path: read.append(path) or real(path))
    transform, plain = LoadCropResize(256, reuse=True), LoadCropResize(256)
    for seed in range(6):
        np.random.seed(seed)
        a = transform(dict(img_path=str(files / name)))['img'].astype(int)
        number = len(read)
        np.random.seed(seed)
        assert np.abs(a - plain(dict(img_path=str(files / name)))['img']).mean() < 3
        assert len(read) == number + 1
    assert len(read) - 6 <= (
        1 if name != 'large.jpg' else 3
    )  # another crop of the large one may want it larger


def test_repeat_sampler():
    from mmum.datasets import RepeatSampler

    sampler = RepeatSampler(range(7), repeats=3, shuffle=True, seed=0)
    order = list(sampler)
    assert len(order) == len(sampler) == 21 and sorted(order) == sorted(list(range(7)) * 3)
    assert all(len(set(order[i : i + 3])) == 1 for i in range(0, 21, 3))
    with pytest.raises(InputError, match='at least 1'):
        RepeatSampler(range(7), repeats=0)
