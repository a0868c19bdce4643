from __future__ import annotations

import torch

from keshi.censoring.adversaries import SimilarityDiscriminator, SubjectClassifier


def test_layer_widths_are_those_of_the_paper() -> None:
    def widths(module: torch.nn.Module) -> list[tuple[int, int]]:
        return [(m.in_features, m.out_features) for m in module.modules() if isinstance(m, torch.nn.Linear)]

    g = torch.Generator().manual_seed(0)
    assert widths(SubjectClassifier(400, 10, generator=g)) == [(400, 800), (800, 200), (200, 10)]
    assert widths(SubjectClassifier(400, 10, hidden=(800,), generator=g)) == [(400, 800), (800, 10)]
    assert widths(SimilarityDiscriminator(400, generator=g)) == [(800, 800), (800, 200), (200, 1)]


def test_a_pair_is_scored_by_the_concatenation_in_its_order() -> None:
    dsim = SimilarityDiscriminator(5, hidden=(7,), generator=torch.Generator().manual_seed(1))
    z1, z2 = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(2))
    logits = dsim(z1, z2)
    assert logits.shape == (4,)
    torch.testing.assert_close(logits, dsim.layers(torch.cat([z1, z2], 1))[:, 0])
    assert not torch.allclose(logits, dsim(z2, z1))
