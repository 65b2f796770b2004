# The pre-training of um_mae_swin_nano_nuclei.py with a decoder that reads stage 3 too.
#
#   python tools/train.py configs/selfsup/um_mae_swin_nano_nuclei_two_stages.py --amp
#
# Hardware: 2 CPU cores, or a GPU.
_base_ = './um_mae_swin_nano_nuclei.py'
model = dict(neck=dict(in_channels=[48 * 2**2, 48 * 2**3], stages=(2, 3)))
