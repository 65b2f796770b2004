"""Write one vector per image of a folder: the mean of the last feature map.

    mmum embed FOLDER CHECKPOINT --out features.npz

The file holds ``features``, float32 (N, C), and ``names``, the N file names.
"""

import argparse
from pathlib import Path

import numpy as np

from mmum.api import embed
from mmum.cli.command import argument_parser
from mmum.errors import InputError
from mmum.files import atomic_path, check_writable


def parse_args() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument('folder', help='a folder of images at any depth')
    parser.add_argument('checkpoint', help='checkpoint file, .pth or .safetensors')
    parser.add_argument(
        '--out', default='features.npz', help='file to write (default: features.npz)'
    )
    parser.add_argument('--batch-size', type=int, default=32, help='images at a time (default: 32)')
    parser.add_argument(
        '--size', type=int, help='side of the images in pixels (default: that of the training)'
    )
    parser.add_argument(
        '--workers', type=int, default=2, help='processes that load images (default: 2)'
    )
    parser.add_argument(
        '--device', help='for example cuda:0 or cpu (default: a GPU where there is one)'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.out.endswith('.npz'):
        raise InputError(f'--out {args.out} should end in .npz')
    check_writable(Path(args.out).parent, f'--out {args.out}')
    features, names = embed(
        args.folder, args.checkpoint, args.batch_size, args.size, args.workers, args.device
    )
    with atomic_path(args.out) as partial, open(partial, 'wb') as file:
        np.savez(file, features=features, names=np.array(names))
    print(f'{len(names)} vectors of {features.shape[1]} numbers in {args.out}')
