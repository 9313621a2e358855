"""evaluating leaves every module's mode as found, also after an error."""

import pytest
from torch import nn

from pocketcxr.models.outputs import evaluating


def test_modes_are_eval_inside_and_as_found_afterwards() -> None:
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Sequential(nn.Dropout()))
    net[0].eval()
    before = [module.training for module in net.modules()]
    with evaluating(net):
        assert not any(module.training for module in net.modules())
    assert [module.training for module in net.modules()] == before


def test_modes_come_back_after_an_error() -> None:
    net = nn.Dropout()
    with pytest.raises(ZeroDivisionError), evaluating(net):
        _ = 1 / 0
    assert net.training
