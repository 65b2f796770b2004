"""ONNX by both exporters of torch, at a fixed size and any batch. Skipped without onnxruntime."""

import pytest
import torch

from mmum.errors import InputError
from mmum.models import UMPVT, UMStockSwin, UMSwin, UMViT
from tests.helpers import SMALL_ARCH

pytest.importorskip('onnx')
pytest.importorskip('onnxscript')
onnxruntime = pytest.importorskip('onnxruntime')
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]
ALL = (0, 1, 2, 3)
BACKBONES = dict(
    swin=lambda: UMSwin(SMALL_ARCH, window_size=8, out_indices=ALL, pad_small_map=True),
    stock_swin=lambda: UMStockSwin(SMALL_ARCH, window_size=7, out_indices=ALL, pad_small_map=True),
    pvt=lambda: UMPVT('small', out_indices=ALL),
    vit=lambda: UMViT('base', img_size=128),
)


# exporter, backbone -> whether the batch may be any
CASES = {
    ('torch.export', 'swin'): True,
    ('torch.export', 'pvt'): True,
    ('torch.export', 'stock_swin'): False,
    ('torch.export', 'vit'): False,
    ('torchscript', 'pvt'): False,
    ('torchscript', 'stock_swin'): False,
    ('torchscript', 'vit'): False,
}


@pytest.mark.parametrize('exporter, name', CASES)
def test_features_are_the_same(exporter, name, tmp_path):
    model, path = BACKBONES[name]().eval(), str(tmp_path / 'backbone.onnx')
    images = torch.randn(2, 3, 128, 128 if name == 'vit' else 160)
    any_batch = CASES[exporter, name]
    options = dict(dynamo=False, opset_version=17)
    if exporter == 'torch.export':
        batch = ({0: torch.export.Dim('n', min=1, max=64)},) if any_batch else None
        options = dict(dynamo=True, dynamic_shapes=batch, verbose=False)
    torch.onnx.export(model, (images,), path, input_names=['images'], **options)
    session = onnxruntime.InferenceSession(path)
    for number in (2, 1, 3) if any_batch else (2,):
        images = torch.randn(number, *images.shape[1:])
        with torch.no_grad():
            expected = [out for out in model(images) if isinstance(out, torch.Tensor)]
        found = session.run(None, {session.get_inputs()[0].name: images.numpy()})
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            torch.testing.assert_close(torch.from_numpy(one), other, atol=1e-4, rtol=1e-4)


def test_what_the_older_exporter_cannot_is_refused(tmp_path):
    with pytest.raises(InputError, match='of 16x20 tokens is padded to whole windows.*dynamo=True'):
        torch.onnx.export(
            BACKBONES['swin']().eval(),
            (torch.randn(2, 3, 128, 160),),
            str(tmp_path / 'backbone.onnx'),
            dynamo=False,
            opset_version=17,
        )


def test_an_open_batch_of_the_stock_swin_is_refused(tmp_path):
    with pytest.raises(Exception, match='UMStockSwin cannot be exported with an open batch'):
        torch.export.export(
            BACKBONES['stock_swin']().eval(),
            (torch.randn(2, 3, 128, 160),),
            dynamic_shapes=({0: torch.export.Dim('n', min=1, max=64)},),
        )
