"""Label-wise embeddings: what the features say where a finding's class map is high."""

import torch
from torch import Tensor
from torch.nn import functional

from pocketcxr.distill.losses.embeddings import class_aware, instance_aware, label_embeddings


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_flat_class_map_gives_the_pooled_features() -> None:
    features = _random(2, 5, 3, 3)
    embeddings = label_embeddings(torch.full((2, 4, 3, 3), 7.0), features)
    torch.testing.assert_close(embeddings, features.mean(dim=(2, 3))[:, None].expand(2, 4, 5))


def test_a_peaked_class_map_gives_the_features_at_its_peak() -> None:
    features, maps = _random(2, 5, 3, 3), torch.zeros(2, 4, 3, 3)
    maps[:, 1, 2, 0] = 60
    torch.testing.assert_close(label_embeddings(maps, features)[:, 1], features[:, :, 2, 0])


def test_maps_and_features_meet_on_the_coarser_grid() -> None:
    maps, features = _random(2, 4, 6, 6), _random(2, 5, 3, 3)
    pooled = functional.adaptive_avg_pool2d(maps, 3)
    torch.testing.assert_close(label_embeddings(maps, features), label_embeddings(pooled, features))


def test_an_unknown_class_map_makes_its_own_embedding_unknown_only() -> None:
    maps = _random(2, 4, 3, 3)
    maps[0, 1] = torch.nan
    unknown = label_embeddings(maps, _random(2, 5, 3, 3)).isnan()
    assert unknown[0, 1].all()
    assert unknown.sum() == 5


def _l2ds(student: Tensor, teacher: Tensor) -> Tensor:
    """L2D's formula of one group with its mean in place of its sum / n, from pairs, without any matrix."""

    def phi(points: Tensor) -> dict[tuple[int, int], Tensor]:
        pairs = [(i, j) for i in range(len(points)) for j in range(len(points)) if i != j]
        distances = {(i, j): (points[i] - points[j]).norm() for i, j in pairs}
        mean = torch.stack(list(distances.values())).mean()
        return {pair: distance / mean for pair, distance in distances.items()}

    ours, theirs = phi(student), phi(teacher)
    losses = [functional.smooth_l1_loss(ours[pair], theirs[pair]) for pair in ours]
    return torch.stack(losses).sum() / len(student) ** 2


def test_it_is_l2ds_formula_over_groups_of_positives() -> None:
    student, teacher = _random(5, 4, 4), _random(5, 4, 6, seed=1)
    is_present = torch.tensor([[1, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 0], [1, 0, 1, 1], [1, 0, 1, 1]]).bool()
    by_finding = [_l2ds(student[is_present[:, f], f], teacher[is_present[:, f], f]) for f in (0, 2, 3)]
    torch.testing.assert_close(class_aware(student, teacher, is_present), torch.stack(by_finding).mean())
    by_image = [_l2ds(student[i, is_present[i]], teacher[i, is_present[i]]) for i in (0, 3, 4)]
    torch.testing.assert_close(instance_aware(student, teacher, is_present), torch.stack(by_image).mean())


def test_two_alone_have_no_relative_distance() -> None:
    student, teacher = _random(2, 1, 4), _random(2, 1, 4, seed=1)
    assert _l2ds(student[:, 0], teacher[:, 0]) == 0


def test_without_three_positives_there_is_nothing_to_arrange() -> None:
    student, present = _random(2, 2, 4).requires_grad_(), torch.ones(2, 2).bool()
    loss = class_aware(student, _random(2, 2, 4, seed=1), present) + instance_aware(student, _random(2, 2, 4), present)
    loss.backward()
    assert loss == 0
    assert student.grad is not None
    assert (student.grad == 0).all()
