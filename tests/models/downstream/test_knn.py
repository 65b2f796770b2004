"""k-nearest neighbours: the vote, the bank, the pooling before it."""

import torch
import torch.nn.functional as F

from mmum.models import KNNClassifier, MeanPoolNorm
from mmum.models.downstream.knn import knn_scores


def test_the_vote_by_hand():
    bank = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=1)
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    votes = torch.exp(torch.tensor([1.0, 0.5**0.5]) / 0.5)
    scores = knn_scores(query, bank, labels, 3, k=2, temperature=0.5)
    assert torch.allclose(scores[0], torch.tensor([*(votes / votes.sum()), 0.0]))
    assert torch.allclose(scores[1], torch.tensor([0.0, 1.0, 0.0]))


def test_few_neighbours_and_low_temperatures_do_not_break_it():
    bank = F.normalize(torch.randn(5, 8), dim=1)
    labels = torch.arange(5)
    scores = knn_scores(bank, bank, labels, 5, k=20, temperature=1e-3)
    assert scores.isfinite().all() and torch.equal(scores.argmax(1), labels)


def test_against_scikit_learn():
    from sklearn.neighbors import KNeighborsClassifier

    bank, labels = F.normalize(torch.randn(200, 16), dim=1), torch.randint(0, 4, (200,))
    query = F.normalize(torch.randn(50, 16), dim=1)
    theirs = KNeighborsClassifier(
        7, metric='cosine', weights=lambda d: torch.exp((1 - torch.tensor(d)) / 0.2).numpy()
    )
    theirs.fit(bank.numpy(), labels.numpy())
    expected = torch.tensor(theirs.predict_proba(query.numpy())).float()
    assert torch.allclose(
        knn_scores(query, bank, labels, 4, k=7, temperature=0.2), expected, atol=1e-4
    )


def test_mean_pool_norm():
    x = torch.randn(2, 6, 3, 4)
    assert torch.allclose(MeanPoolNorm(6)((x,))[0], F.layer_norm(x.mean((2, 3)), (6,), eps=1e-6))
    assert torch.equal(MeanPoolNorm(6, norm_cfg=None)((x.mean((2, 3)),))[0], x.mean((2, 3)))


def test_bank_and_prediction():
    from mmpretrain.structures import DataSample

    model = KNNClassifier(
        dict(type='UMSwin', arch=dict(embed_dims=8, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1))),
        k=1,
    )
    images = torch.rand(6, 3, 64, 64) * 255
    samples = [DataSample().set_gt_label(i) for i in (3, 0, 1, 2, 5, 4)]
    loader = [dict(inputs=images[i : i + 2], data_samples=samples[i : i + 2]) for i in (0, 2, 4)]

    class Loader(list):
        dataset = samples

    model.fill_bank(Loader(loader))
    assert model.bank.shape == (6, 64) and torch.allclose(model.bank.norm(dim=1), torch.ones(6))
    found = model.predict(model.data_preprocessor(dict(inputs=images), False)['inputs'], samples)
    assert [int(s.pred_label) for s in found] == [3, 0, 1, 2, 5, 4]
