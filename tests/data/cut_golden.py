"""Cut small parity cases from the authors' full numbers, for a clone that has only these.

    python tests/data/cut_golden.py FOLDER_OF_FULL_NUMBERS

Every case is a part of the authors' model whose input and output both fit: weights and inputs are
rounded to half precision, so outputs agree to about 1e-2 instead of 1e-4.

- Swin: the first stage, two blocks of which the second is shifted. The tokens 8 to 23 of each side
  depend on no pixel beyond 128, so the crop of 128 px is enough.
- PVT: from the output of the first stage to that of the second.
- Swin and ViT: the decoder, from the encoder's output to the first pixels of every removed unit.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

OUT = Path(__file__).parent
PIXELS = 12  # of 768 in a unit


def weights_of(numbers, pattern):
    """Weights whose authors' names begin like one of the patterns, in half precision."""
    return {
        key: value.half()
        for key, value in numbers.items()
        if key.startswith(tuple(f'weight.{name}' for name in pattern))
    }


def decoder_case(numbers, names):
    """Decoder weights of one image's prediction, cut to the first pixels of a unit."""
    case = weights_of(numbers, ('decoder_embed', 'decoder_blocks', 'decoder_norm', 'mask_token'))
    for kind in ('weight', 'bias'):
        case[f'weight.decoder_pred.{kind}'] = numbers[f'weight.decoder_pred.{kind}'][:PIXELS].half()
    case['latent'] = numbers['latent'][:1].half()
    for name in ('mask', 'secondary'):
        case[name] = numbers[name][:1]
    for name in names:
        case[name] = numbers[name][:1, :, :PIXELS].half()
    return case


def main():
    folder = Path(sys.argv[1])
    swin, vit, pvt = (
        load_file(folder / f'um_mae_{name}_pretrain.safetensors') for name in ('swin', 'vit', 'pvt')
    )
    dense = load_file(folder / 'um_mae_swin_dense256.safetensors')
    case = decoder_case(swin, ('pred_masked', 'pred_masked_aligned'))
    case.update(weights_of(swin, ('patch_embed', 'blocks.0.', 'blocks.1.', 'vis_mask_token')))
    case['images'] = dense['images'][:1, :, :128, :128].half()
    case['stage0'] = dense['stage0'][:1, :, 8:24, 8:24].half()
    save(case, 'swin')
    save(decoder_case(vit, ('pred_masked',)), 'vit')
    dense = load_file(folder / 'um_mae_pvt_dense_256x384.safetensors')
    case = weights_of(pvt, ('blocks.2.', 'blocks.3.'))
    case['stage0'] = dense['stage0'].half()
    case['stage1'] = dense['stage1'][:, :, ::4, ::4].half()
    save(case, 'pvt')


def save(case, name):
    case = {key: value.contiguous() for key, value in case.items()}
    save_file(case, OUT / f'um_mae_{name}_small.safetensors')
    size = (OUT / f'um_mae_{name}_small.safetensors').stat().st_size
    print(f'{name}: {size / 1e3:.0f} kB, {len(case)} tensors')


if __name__ == '__main__':
    with torch.no_grad():
        main()
