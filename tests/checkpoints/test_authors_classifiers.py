"""The authors' fine-tuned classifiers: logits equal those of a plain computation.

The plain computations read the authors' names and are written as their paper says, token by token
and pair by pair; for ViT, timm's model is one.
"""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmum.checkpoints import convert, from_authors, read_checkpoint, weights_of
from mmum.checkpoints.authors_files import as_own
from mmum.errors import InputError
from tests.checkpoints.classifiers import CLASSES, authors_file, classifier, write
from tests.checkpoints.plain import plain_logits
from tests.helpers import ROOT, SMALL_ARCH, build_um_mae, call_tool


def timm_logits(w, images):
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=128, num_classes=CLASSES, embed_dim=48, depth=3, num_heads=4, global_pool='avg'
    ).eval()
    model.load_state_dict(w)
    return model(images)


@pytest.mark.parametrize('family', ['swin', 'pvt', 'vit'])
def test_logits_are_those_of_a_plain_computation(family):
    weights, model = authors_file(family), classifier(family)
    incompatible = model.load_state_dict(from_authors(weights), strict=False)
    assert incompatible.missing_keys == ['backbone.secondary_token']
    assert not incompatible.unexpected_keys
    images = torch.randn(2, 3, 128, 128)
    with torch.no_grad():
        logits = model(images, mode='tensor')
        logits = model.head.fc(model.neck(model.backbone(images))[-1])
        expected = (
            timm_logits(weights, images)
            if family == 'vit'
            else plain_logits(family, weights, images)
        )
    assert (logits - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_converted_whole_it_is_a_classifier_of_ours(tmp_path):
    weights = authors_file('swin')
    result = convert(weights, 'mmum', whole=True)
    assert classifier('swin').load_state_dict(result.weights, strict=False).missing_keys == [
        'backbone.secondary_token'
    ]
    assert not result.report['dropped'] and 'visible_positions' not in result.meta


CONFIG = """
_base_ = '{root}/configs/classification/um-swin-tiny_8xb128-coslr-100e_in1k.py'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8)),
        pos_mlp_dims=8,
    ),
    neck=dict(in_channels=128),
    head=dict(in_channels=128, num_classes={classes}),
)
data_preprocessor = dict(num_classes={classes})
val_evaluator = dict(topk=(1,))
test_evaluator = val_evaluator
"""


@pytest.fixture
def folder(tmp_path):
    """Five classes of one image."""
    from PIL import Image

    for split in ('train', 'val'):
        for i in range(CLASSES):
            (tmp_path / 'data' / split / f'class_{i}').mkdir(parents=True)
            image = Image.effect_noise((160, 160), 40 * (i + 1)).convert('RGB')
            image.save(tmp_path / 'data' / split / f'class_{i}' / 'image.png')
    return tmp_path / 'data'


def run_test(tmp_path, folder, weights, classes=CLASSES, config=None):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(root=ROOT, classes=classes))
    file = write(tmp_path / 'checkpoint-99.pth', weights)
    return call_tool(
        'tools/test.py',
        config or path,
        file,
        '--work-dir',
        tmp_path / 'work',
        '--cfg-options',
        f'data_root={folder}',
        'test_dataloader.num_workers=0',
    )


@pytest.mark.slow
def test_their_file_is_tested_without_training(tmp_path, folder):
    """tools/test.py on their file: the accuracy of the logits that the plain computation gives."""
    from mmum.engine.config import load_config

    weights = authors_file('swin')
    code, output = run_test(tmp_path, folder, weights)
    assert code == 0, output[-3000:]
    cfg = load_config(str(tmp_path / 'config.py'), dict(data_root=str(folder)))
    init_default_scope('mmpretrain')
    from mmpretrain.registry import DATASETS

    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    preprocessor = MODELS.build({**cfg.data_preprocessor, 'type': 'ClsDataPreprocessor'})
    right = 0
    for i in range(CLASSES):
        images = preprocessor(dict(inputs=[dataset[i]['inputs']]))['inputs']
        assert images.shape == (1, 3, 256, 256)
        right += int(plain_logits('swin', weights, images).argmax()) == i
    assert f'accuracy/top1: {100 * right / CLASSES:.4f}' in output


@pytest.mark.slow
def test_bad_input(tmp_path, folder):
    code, output = run_test(tmp_path, folder, authors_file('swin'), classes=3)
    assert code == 2 and '5 class folders' in output.splitlines()[-1]
    wrong = authors_file('swin')
    wrong['head.weight'], wrong['head.bias'] = torch.zeros(7, 128), torch.zeros(7)
    code, output = run_test(tmp_path, folder, wrong)
    last = output.splitlines()[-1]
    assert code == 2 and 'head.fc.weight is (7, 128) in it and (5, 128) here' in last
    assert 'num_classes=N' in last


def test_a_whole_pretraining_file_knows_its_positions(tmp_path):
    """A decoder of the authors under the default positions would be a silent mix: refused."""
    from mmum.engine import CheckpointMatchHook

    own = {f'{k}': v for k, v in build_um_mae().state_dict().items()}
    assert as_own(dict(state_dict=own)) == dict(state_dict=own)  # not theirs: as it is

    class Runner:
        model = build_um_mae()
        _load_from = 'theirs.pth'

    content = dict(state_dict=own, meta=dict(authors='um_mae', visible_positions='official'))
    with pytest.raises(InputError, match='model.neck.visible_positions=official'):
        CheckpointMatchHook().after_load_checkpoint(Runner, content)
    Runner.model = build_um_mae(visible_positions='official')
    CheckpointMatchHook().after_load_checkpoint(Runner, content)


def test_files_of_the_other_kind(tmp_path):
    """A classifier where pre-training goes on, and a pre-training where a classifier is tested."""
    from mmum.engine import CheckpointMatchHook

    class Runner:
        _load_from = str(write(tmp_path / 'theirs.pth', authors_file('swin')))
        model = build_um_mae()

    content = as_own(read_checkpoint(Runner._load_from))
    with pytest.raises(InputError, match='fine-tuned classifier.* does not have the decoder .*'):
        CheckpointMatchHook().after_load_checkpoint(Runner, content)
    Runner.testing = True
    with pytest.raises(InputError, match='without decoder; give a checkpoint of pre-training'):
        CheckpointMatchHook().after_load_checkpoint(Runner, content)
    Runner.model = classifier('swin')
    content = dict(state_dict=build_um_mae().state_dict())
    with pytest.raises(InputError, match='it has no classifier; fine-tune it first'):
        CheckpointMatchHook().after_load_checkpoint(Runner, content)


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_positions_survive_a_conversion(suffix, tmp_path):
    """tools/convert.py --whole writes down which positions the decoder has."""
    from tests.helpers import golden

    numbers = golden('um_mae_swin_pretrain')
    theirs = {k[7:]: v for k, v in numbers.items() if k.startswith('weight.')}
    source, target = write(tmp_path / 'theirs.pth', theirs), tmp_path / f'ours.{suffix}'
    code, output = call_tool('tools/convert.py', source, target, '--to', 'mmum', '--whole')
    assert code == 0, output[-2000:]
    content = read_checkpoint(target)
    assert content['meta']['visible_positions'] == 'official'
    assert any(key.startswith('neck.') for key in weights_of(content))


def test_their_simmim_files_load():
    """Encoder, token and linear decoder of a SimMIM pre-training."""
    weights = {
        k: v for k, v in authors_file('swin').items() if not k.startswith(('fc_norm', 'head'))
    }
    weights.update(
        {
            'mask_token': torch.randn(1, 1, 16),
            'decoder_pred.weight': torch.randn(3072, 128),
            'decoder_pred.bias': torch.randn(3072),
            'norm.weight': torch.ones(128),
            'norm.bias': torch.zeros(128),
        }
    )
    init_default_scope('mmpretrain')
    model = MODELS.build(
        dict(
            type='SimMIM',
            backbone=dict(
                type='UMSwin', arch=SMALL_ARCH, window_size=16, pos_mlp_dims=8, compact=False
            ),
            neck=dict(type='SimMIMLinearDecoder', in_channels=128, encoder_stride=32),
            head=dict(
                type='SimMIMHead',
                patch_size=16,
                loss=dict(type='PixelReconstructionLoss', criterion='L1', channel=3),
            ),
        )
    )
    model.load_state_dict(from_authors(weights))
    assert torch.equal(model.backbone.secondary_token, weights['mask_token'].flatten())
