"""A bad image is replaced and listed; too many stop the run."""
import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from mmum.datasets import UnlabelledImages
from mmum.errors import InputError

PIPELINE = [dict(type='LoadCropResize', scale=32), dict(type='PackInputs')]


def dataset(folder, **options):
    return UnlabelledImages(str(folder), pipeline=[dict(t, _scope_='mmpretrain') for t in PIPELINE], **options)


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
    assert [line[0] for line in lines] == [str(folder / '0' / '007.jpg'), str(folder / '1' / '150.jpg')]
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
    monkeypatch.setattr('mmum.datasets.load_crop_resize.Image.MAX_IMAGE_PIXELS', 500)
    with pytest.raises(InputError, match='40x40 pixels are a decompression bomb'):
        dataset(folder)[0]
