"""A bad image is replaced and listed; too many stop the run."""

import errno
import os

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from mmum.datasets import UnlabelledImages
from mmum.errors import InputError
from tests.helpers import write_odd_images

PIPELINE = [dict(type='LoadCropResize', scale=32), dict(type='PackInputs')]


def dataset(folder, **options):
    return UnlabelledImages(
        str(folder), pipeline=[dict(t, _scope_='mmpretrain') for t in PIPELINE], **options
    )


@pytest.fixture
def folder(tmp_path):
    """200 images, one of them cut short and one vanished after the folder was listed."""
    for i in range(200):
        (tmp_path / f'{i // 100}').mkdir(exist_ok=True)
        image = np.full((40, 40, 3), i, np.uint8)
        cv2.imwrite(str(tmp_path / f'{i // 100}' / f'{i:03d}.jpg'), image)
    cut = tmp_path / '0' / '007.jpg'
    cut.write_bytes(cut.read_bytes()[:300])
    return tmp_path


@pytest.mark.parametrize('workers', [0, 2])
def test_another_is_drawn_and_the_bad_one_listed_once(folder, tmp_path_factory, workers):
    listed = tmp_path_factory.mktemp('run') / 'bad_images.txt'
    images = dataset(folder, bad_images=str(listed))
    (folder / '1' / '150.jpg').unlink()
    for _ in range(2):
        assert sum(1 for _ in DataLoader(images, batch_size=None, num_workers=workers)) == 200
    lines = sorted(line.split('\t') for line in listed.read_text().splitlines())
    assert [line[0] for line in lines] == [
        str(folder / '0' / '007.jpg'),
        str(folder / '1' / '150.jpg'),
    ]
    assert all('cannot be read as an image' in line[1] for line in lines)


def test_too_many_stop_and_the_folder_is_named(folder, tmp_path_factory):
    listed = tmp_path_factory.mktemp('run') / 'bad_images.txt'
    for i in range(110, 120):
        (folder / '1' / f'{i}.jpg').write_bytes(b'')
    images = dataset(folder, bad_images=str(listed))
    with pytest.raises(InputError, match=r'3 of 200 images cannot be read, 2 of them in .*/1 '):
        for i in range(200):
            images[i]
    assert len(dataset(folder, bad_images=str(listed), max_bad_share=0.5)[115]) > 0


def test_without_a_list_it_is_an_error(folder):
    with pytest.raises(InputError, match='007.jpg cannot be read'):
        dataset(folder)[7]
    with pytest.raises(InputError, match='007.jpg cannot be read'):
        dataset(folder, bad_images=str(folder / 'x.txt'), test_mode=True)[7]


def test_storage_that_comes_back_changes_no_draw(folder, tmp_path_factory, monkeypatch):
    """A folder that is gone for a while, as of a network file system; also where nothing replaces
    an image."""
    away, waited = folder.with_name('away'), []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            away.rename(folder)

    monkeypatch.setattr('mmum.datasets.unreadable.sleep', sleep)
    listed = tmp_path_factory.mktemp('run') / 'bad_images.txt'
    for more in (dict(bad_images=str(listed)), dict(), dict(test_mode=True)):
        images, waited[:] = dataset(folder, **more), []
        assert images[0] and not waited
        folder.rename(away)
        assert images[150]['data_samples'].img_path == str(folder / '1' / '150.jpg')
        assert waited == [1, 4, 15] and not listed.exists()


@pytest.mark.parametrize('code', [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_bad_sector_is_tried_for_a_while_and_then_replaced(
    code, folder, tmp_path_factory, monkeypatch
):
    from mmum.datasets.transforms.loading import fileio

    def get(path):
        if path.endswith('150.jpg'):
            raise OSError(code, os.strerror(code))
        return got(path)

    got, waited = fileio.get, []
    monkeypatch.setattr(fileio, 'get', get)
    monkeypatch.setattr('mmum.datasets.unreadable.sleep', waited.append)
    listed = tmp_path_factory.mktemp('run') / 'bad_images.txt'
    images = dataset(folder, bad_images=str(listed))
    for index in (149, 150, 150):
        assert images[index]
    assert waited == [1, 4, 15, 60]  # for the first time only
    assert listed.read_text().startswith(str(folder / '1' / '150.jpg') + '\t')


def test_nobody_waits_for_a_wrong_path_or_a_damaged_file(folder, monkeypatch):
    monkeypatch.setattr('mmum.datasets.unreadable.sleep', lambda _: pytest.fail('waits'))
    images = dataset(folder)
    assert images[0]
    with pytest.raises(InputError, match='007.jpg cannot be read'):
        images[7]
    (folder / '1' / '150.jpg').unlink()
    with pytest.raises(InputError, match='150.jpg cannot be read'):
        images[150]
    images = dataset(folder)
    folder.rename(folder.with_name('moved'))
    with pytest.raises(InputError, match='000.jpg cannot be read'):
        images[0]


def test_a_decompression_bomb_is_refused(folder, monkeypatch):
    monkeypatch.setattr('mmum.datasets.checks.images.Image.MAX_IMAGE_PIXELS', 500)
    with pytest.raises(InputError, match='40x40 pixels are a decompression bomb'):
        dataset(folder)[0]


def test_every_kind_of_file_is_read_or_replaced_and_found_beforehand(tmp_path):
    """What tools/check_data.py says is what a training does."""
    from mmum.datasets.checks.images import inspect_image
    from mmum.datasets.transforms.loading import LoadCropResize

    load = LoadCropResize(32)
    for name, bad in write_odd_images(tmp_path).items():
        path = str(tmp_path / name)
        fault, _ = inspect_image(path)
        assert bool(fault) == bad, (name, fault)
        if bad:
            with pytest.raises(InputError, match=f'{name} cannot be read'):
                load({'img_path': path})
        else:
            assert load({'img_path': path})['img'].shape == (32, 32, 3)
    assert inspect_image(tmp_path / 'mislabelled.jpg')[1] == ['is a PNG by its content']
    assert inspect_image(tmp_path / 'cmyk.jpg')[1] == ['CMYK']
    assert '30000x20 pixels' in inspect_image(tmp_path / 'wide.jpg')[0]
    for name in ('deep.png', 'deep_colour.png', 'deep_colour.tif', 'floating.tif', 'signed.tif'):
        assert 'more than 8 bits' in inspect_image(tmp_path / name)[0], name
    assert 'a stack of 3 pages' in inspect_image(tmp_path / 'stack.tif')[0]


@pytest.mark.parametrize('name', ['deep.png', 'deep_colour.png', 'deep_colour.tif'])
@pytest.mark.parametrize('loader', ['LoadImageStrict', 'LoadCropResize'])
def test_deep_pixels_are_scaled_if_asked_for(name, loader, tmp_path):
    from mmum.datasets import transforms

    write_odd_images(tmp_path)
    kind, arguments = getattr(transforms, loader), ((32,) if loader == 'LoadCropResize' else ())
    sample = dict(img_path=str(tmp_path / name))
    scaled = kind(*arguments, bit_depth='scale')(dict(sample))['img']
    assert scaled.dtype == np.uint8 and scaled.max() > 200 and scaled.min() < 50
    raw = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED).astype(float)
    if loader == 'LoadImageStrict':
        ends = kind(bit_depth=(0, 65535))(dict(sample))['img']
        expected = (raw / 65535 * 255).round()
        expected = expected[..., None].repeat(3, 2) if raw.ndim == 2 else expected
        assert (ends == expected).all()
        fine = kind(bit_depth='scale')(dict(img_path=str(tmp_path / 'alpha.png')))['img']
        assert (fine == kind()(dict(img_path=str(tmp_path / 'alpha.png')))['img']).all()


@pytest.mark.parametrize('bit_depth', ['16', (5, 5), 12, (1, 2, 3)])
def test_a_bit_depth_that_is_none(bit_depth):
    from mmum.datasets import LoadImageStrict

    with pytest.raises(InputError, match="should be 'refuse', 'scale', or the values"):
        LoadImageStrict(bit_depth=bit_depth)


@pytest.mark.parametrize('wrapper', ['ConcatDataset', 'RepeatDataset', 'ClassBalancedDataset'])
def test_wrapped_data_sets_replace_too(wrapper, folder, tmp_path_factory):
    """Whoever wraps the data set, a run sets the list in it."""
    from mmengine.config import ConfigDict
    from mmengine.registry import DATASETS

    from mmum.engine.config.prepare import list_bad_images

    inner = dict(
        type='LabelledImages' if wrapper == 'ClassBalancedDataset' else 'UnlabelledImages',
        data_root=str(folder),
        pipeline=[dict(t, _scope_='mmpretrain') for t in PIPELINE],
    )
    outer = dict(
        ConcatDataset=dict(datasets=[inner, inner]),
        RepeatDataset=dict(dataset=inner, times=2),
        ClassBalancedDataset=dict(dataset=inner, oversample_thr=0.1),
    )[wrapper]
    cfg = ConfigDict(
        train_dataloader=dict(dataset=dict(type=wrapper, **outer)),
        work_dir=str(tmp_path_factory.mktemp('run')),
    )
    list_bad_images(cfg)
    images = DATASETS.build(cfg.train_dataloader.dataset)
    assert all(images[i] is not None for i in range(len(images)))
    with open(f'{cfg.work_dir}/bad_images.txt') as listed:
        assert [line.split('\t')[0] for line in listed] == [str(folder / '0' / '007.jpg')]


def test_names_that_are_no_utf_8(tmp_path):
    """Listed, packed, read, noted and drawn as bytes."""
    import os

    from tests.helpers import call_tool

    root = tmp_path / 'images'
    root.mkdir()
    good, bad = (os.path.join(os.fsencode(root), name) for name in (b'caf\xe9.png', b'\xff.png'))
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for name in (good, os.fsencode(root / 'plain.png')):
        with open(name, 'wb') as file:
            file.write(cv2.imencode('.png', pixels)[1].tobytes())
    with open(bad, 'wb') as file:
        file.write(b'no image')
    images = dataset(root, bad_images=str(tmp_path / 'bad.txt'))
    assert len(images) == 3 and all(images[i] is not None for i in range(3))
    assert (tmp_path / 'bad.txt').read_bytes().startswith(bad + b'\t')
    code, output = call_tool('tools/check_data.py', root)
    assert code == 1 and '3 images: 1 bad' in output, output
    os.remove(bad)
    code, output = call_tool('tools/prepare_data.py', 'shards', root, tmp_path / 'shards')
    assert code == 0, output
    packed = dataset(tmp_path / 'shards')
    assert len(packed) == 2 and packed[0]['inputs'].shape == packed[1]['inputs'].shape
    code, output = call_tool(
        'tools/browse_data.py',
        'configs/selfsup/um_mae_swin_nano_mini.py',
        '--out',
        tmp_path / 'look',
        '--cfg-options',
        f'data_root={root}',
    )
    assert code == 0, output
    assert len(list((tmp_path / 'look').iterdir())) == 2


@pytest.mark.parametrize('name', ['cmyk.jpg', 'palette.png', 'mislabelled.jpg'])
def test_unusual_files_keep_their_colours(name, tmp_path):
    from PIL import Image

    from mmum.datasets.transforms.loading import LoadCropResize

    write_odd_images(tmp_path)
    flat = Image.new('RGB', (64, 64), (200, 30, 60))
    flat = flat.convert('P', palette=Image.Palette.ADAPTIVE) if name == 'palette.png' else flat
    (flat.convert('CMYK') if name == 'cmyk.jpg' else flat).save(
        tmp_path / name, 'png' if 'jpg' not in name or 'mis' in name else 'jpeg'
    )
    image = LoadCropResize(32)({'img_path': str(tmp_path / name)})['img']
    assert np.abs(image.astype(int) - [60, 30, 200]).max() < 8
