"""The closed form on anchors: a rotation that was hidden in each layer is found again, whatever the languages' means are."""

import pytest
import torch

from xlt.alignment.anchors import turn_onto


def rotation(seed, width=6):
    torch.manual_seed(seed)
    return torch.linalg.qr(torch.randn(width, width, dtype=torch.float64))[0]


@pytest.mark.parametrize("center", [True, False])
def test_hidden_rotations_are_found_layer_by_layer(center):
    torch.manual_seed(3)
    anchors, hidden = {}, {}
    for number, (code, rows) in enumerate({"sw": 40, "de": 25}.items()):
        y_KPD = torch.randn(3, rows, 6, dtype=torch.float64)
        hidden[code] = torch.stack([rotation(10 * number + layer) for layer in range(3)])
        shift = torch.randn(3, 1, 6, dtype=torch.float64) * center  # without centring nothing could undo it
        anchors[code] = (torch.einsum("kpd,ked->kpe", y_KPD, hidden[code]) + shift, y_KPD + shift.flip(0))
    turned = turn_onto("en", anchors, center)
    assert turned.languages == ["de", "en", "sw"]
    for code, (x_KPD, y_KPD) in anchors.items():
        g = turned.languages.index(code)
        assert torch.allclose(turned.maps[g].double(), hidden[code].transpose(1, 2), atol=1e-6)
        found = torch.einsum("kpd,ked->kpe", x_KPD - turned.means[g][:, None], turned.maps[g].double())
        assert torch.allclose(found, y_KPD - y_KPD.mean(1, keepdim=True) * center, atol=1e-5)
    hub = turned.languages.index("en")
    assert torch.equal(turned.maps[hub], torch.eye(6, dtype=turned.maps.dtype).expand(3, -1, -1))
    every = torch.cat([y for _, y in anchors.values()], 1).mean(1)
    assert torch.allclose(turned.means[hub].double(), every * center)
