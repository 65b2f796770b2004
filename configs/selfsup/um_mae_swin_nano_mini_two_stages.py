# The very small Swin of um_mae_swin_nano_mini.py with a decoder that reads stage 3 too.
#
#   python tools/train.py configs/selfsup/um_mae_swin_nano_mini_two_stages.py --amp
#
# Hardware: 2 CPU cores.
_base_ = './um_mae_swin_nano_mini.py'
model = dict(neck=dict(in_channels=[48 * 2**2, 48 * 2**3], stages=(2, 3)))
