"""Images in tar files are the images that they were."""

import tarfile

import numpy as np
import pytest
from mmengine.fileio import get

from mmum.datasets import UnlabelledImages
from mmum.datasets.listing import list_files
from mmum.datasets.shards import images_in_shard, write_shards
from mmum.errors import InputError
from tests.helpers import ROOT, call_tool

PIPELINE = [dict(type='LoadCropResize', scale=64), dict(type='UniformMask', input_size=64)]


@pytest.fixture
def shards(mini, tmp_path):
    """The unlabelled images, through the tool: about four a shard."""
    code, output = call_tool(
        'tools/prepare_data.py', 'shards', mini / 'unlabelled', tmp_path / 'shards', '--size', 0.03
    )
    assert code == 0 and '16 images in ' in output and f'data_root={tmp_path}/shards' in output, (
        output
    )
    return tmp_path / 'shards'


@pytest.mark.parametrize('indexed', [True, False])
def test_every_image_once_to_the_byte(shards, mini, indexed):
    paths = sorted(shards.glob('*.tar'))
    assert 2 < len(paths) < 16 and [path.name for path in paths][:2] == ['00000.tar', '00001.tar']
    if not indexed:
        for path in shards.glob('*.index'):
            path.unlink()
    urls = [url for path in paths for url in images_in_shard(path)]
    assert [url.rsplit('/', 1)[1] for url in urls] == sorted(
        path.name for path in (mini / 'unlabelled').iterdir()
    )
    for url in urls:
        assert get(url) == (mini / 'unlabelled' / url.rsplit('/', 1)[1]).read_bytes()
    for path in paths:  # ordinary tar files
        with tarfile.open(path) as shard:
            assert len(shard.getnames()) == len(images_in_shard(path))


def test_a_data_set_of_shards_is_that_of_the_folder(shards, mini):
    one, other = (
        UnlabelledImages(data_root=str(root), pipeline=PIPELINE)
        for root in (shards, mini / 'unlabelled')
    )
    assert len(one) == len(other) == 16
    for i in range(16):
        samples = []
        for dataset in (one, other):
            np.random.seed(i)
            samples.append(dataset[i])
        assert np.array_equal(samples[0]['img'], samples[1]['img']) and np.array_equal(
            samples[0]['mask'], samples[1]['mask']
        )


def test_a_list_may_name_shards_and_loose_images(shards, mini, tmp_path):
    (shards / 'loose.jpg').write_bytes((mini / 'unlabelled' / '000000.jpg').read_bytes())
    assert len(UnlabelledImages(data_root=str(shards))) == 17
    (tmp_path / 'list.txt').write_text('00000.tar\nloose.jpg\n')
    dataset = UnlabelledImages(data_root=str(shards), ann_file=str(tmp_path / 'list.txt'))
    assert len(dataset) == len(images_in_shard(shards / '00000.tar')) + 1


@pytest.mark.slow
def test_training_on_shards(shards, tmp_path):
    config = ROOT / 'configs' / 'selfsup' / 'um_mae_swin_nano_mini.py'
    code, output = call_tool(
        'tools/train.py',
        config,
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        f'data_root={shards}',
        'model.backbone.arch.embed_dims=16',
        'model.backbone.arch.num_heads=[1,2,4,8]',
        'model.neck.in_channels=128',
        'model.neck.embed_dims=32',
        'train_dataloader.batch_size=8',
        'train_dataloader.num_workers=2',
        'train_cfg.max_epochs=1',
    )
    assert code == 0 and (tmp_path / 'run' / 'epoch_1.pth').exists(), output[-2000:]
    assert not (tmp_path / 'run' / 'bad_images.txt').exists()


@pytest.mark.slow
def test_a_bad_image_in_a_shard_is_listed_with_its_shard(mini, tmp_path):
    folder = tmp_path / 'folder'
    folder.mkdir()
    for path in (mini / 'unlabelled').glob('00000[0-3].jpg'):
        (folder / path.name).write_bytes(
            b'no image' if path.stem == '000002' else path.read_bytes()
        )
    (tmp_path / 'shards').mkdir()
    write_shards(sorted(p.name for p in folder.iterdir()), folder, tmp_path / 'shards', 10**6)
    dataset = UnlabelledImages(
        data_root=str(tmp_path / 'shards'), pipeline=PIPELINE, bad_images=str(tmp_path / 'bad.txt')
    )
    for i in range(4):
        assert dataset[i]['img'].shape == (64, 64, 3)
    (line,) = (tmp_path / 'bad.txt').read_text().splitlines()
    assert '00000.tar?' in line and '/000002.jpg' in line
    # and it is found beforehand
    code, output = call_tool('tools/check_data.py', tmp_path / 'shards', '--workers', 1)
    assert (
        code == 1
        and '4 images: 1 bad' in output
        and '/000002.jpg: cannot identify image file' in output
    ), output


def test_a_shard_that_looks_wrong_is_named(mini, tmp_path):
    folder = mini / 'unlabelled'
    write_shards(list_files(folder), folder, tmp_path, 10**9)
    path = tmp_path / '00000.tar'
    path.write_bytes(bytes(path.stat().st_size))
    dataset = UnlabelledImages(
        data_root=str(tmp_path), pipeline=PIPELINE, bad_images=str(tmp_path / 'bad.txt')
    )
    with pytest.raises(
        InputError, match=r'2 of 16 images cannot be read, 2 of them in .*/00000.tar '
    ):
        for i in range(16):
            dataset[i]


def test_shards_that_do_not_serve(shards, tmp_path):
    first = shards / '00000.tar'
    url = images_in_shard(first)[-1]
    (tmp_path / 'other').mkdir()
    cut = tmp_path / 'other' / '00000.tar'
    cut.write_bytes(first.read_bytes()[:3000])
    (tmp_path / 'other' / '00000.tar.index').write_bytes((shards / '00000.tar.index').read_bytes())
    with pytest.raises(InputError, match='is not the index of'):
        images_in_shard(cut)
    with pytest.raises(InputError, match='is truncated at 0000'):
        get(url.replace(str(first), str(cut)))
    (tmp_path / 'other' / '00000.tar.index').unlink()
    with pytest.raises(InputError, match='truncated or no uncompressed tar file'):
        images_in_shard(cut)
    with tarfile.open(cut, 'w:gz') as packed:
        packed.add(first, 'x.jpg')
    with pytest.raises(InputError, match='truncated or no uncompressed tar file'):
        UnlabelledImages(data_root=str(tmp_path / 'other'))
    code, output = call_tool('tools/prepare_data.py', 'shards', shards, tmp_path / 'again')
    assert code == 2 and 'holds no images' in output.splitlines()[-1]
