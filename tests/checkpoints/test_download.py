"""Checkpoints by address: each its own file, fetched once."""

import time
from concurrent.futures import ThreadPoolExecutor

import filelock
import torch
from safetensors.torch import save_file

from mmum.checkpoints import read_checkpoint
from mmum.checkpoints.download import cached_path, download


def write(path, value):
    path.parent.mkdir(exist_ok=True)
    save_file(dict(x=torch.full((2,), value)), path)


def test_files_of_one_name_are_kept_apart(served):
    """Every pre-training writes a backbone.safetensors."""
    folder, url = served
    for value, run in enumerate('ab'):
        write(folder / run / 'backbone.safetensors', float(value))
    for _ in range(2):
        for value, run in enumerate('ab'):
            weights = read_checkpoint(f'{url}/{run}/backbone.safetensors')
            assert torch.equal(weights['x'], torch.full((2,), float(value)))


def test_a_file_is_downloaded_once(served, monkeypatch):
    said = []
    monkeypatch.setattr('mmum.checkpoints.download.print_log', lambda text, _: said.append(text))
    folder, url = served
    write(folder / 'run' / 'backbone.safetensors', 1.0)
    path = download(f'{url}/run/backbone.safetensors')
    (folder / 'run' / 'backbone.safetensors').unlink()
    assert download(f'{url}/run/backbone.safetensors') == path and path.is_file()
    download(f'{url}/run/backbone.safetensors')
    (sentence,) = said  # another file may be at the address by now
    assert f'is used, remove {path} to download it again' in sentence


def test_of_several_that_want_a_file_one_downloads(served, monkeypatch):
    """As the ranks of a training: all of them, or the first alone, which must not wait."""
    folder, url = served
    write(folder / 'run' / 'backbone.safetensors', 1.0)
    fetched, fetch = [], torch.hub.download_url_to_file

    def slowly(*args):
        fetched.append(args)
        time.sleep(0.3)
        fetch(*args)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', slowly)
    with ThreadPoolExecutor(4) as ranks:
        paths = set(ranks.map(download, [f'{url}/run/backbone.safetensors'] * 4))
    assert len(fetched) == len(paths) == 1 and paths.pop().is_file()


def test_a_file_system_without_locks(served, monkeypatch):
    folder, url = served
    write(folder / 'run' / 'backbone.safetensors', 1.0)

    def refuse(self):
        raise NotImplementedError('FileSystem does not appear to support flock')

    monkeypatch.setattr(filelock.FileLock, '_acquire', refuse)
    assert download(f'{url}/run/backbone.safetensors').is_file()


def test_names_with_a_digest_share_the_folder_of_other_libraries(served, tmp_path):
    shared = tmp_path / 'torch' / 'hub' / 'checkpoints'
    for name in ('resnet50-0676ba61.pth', 'htc_20210902_120937-9d6b7cfa.pth'):
        assert cached_path(f'https://a/{name}') == cached_path(f'https://b/{name}') == shared / name
    for name in ('resnet50.pth', 'swin-20220101.pth', 'model-2.pth', 'x-0676ba61/backbone.pth'):
        first, second = cached_path(f'https://a/{name}'), cached_path(f'https://b/{name}')
        assert first != second and first.name == second.name == name.split('/')[-1]
