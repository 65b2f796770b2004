"""A bad image is replaced and listed; too many stop the run."""

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
    assert 'more than 8 bits' in inspect_image(tmp_path / 'deep.png')[0]


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
