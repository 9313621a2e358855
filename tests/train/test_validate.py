"""What a cohort is told: by shares as by one, and the reference of its heatmaps by hand."""

from collections.abc import Callable

import pytest
import torch

from pocketcxr.data.batches import Share, normalise_tensor, plain_pixels
from pocketcxr.train.job import FitJob
from pocketcxr.train.validate import Validation, validate

MakeJob = Callable[..., FitJob]


def test_the_reference_is_the_mean_map_weighed_by_the_probability_of_no_finding(make_job: MakeJob) -> None:
    job = make_job()
    net, cohort = job.net.eval(), job.validation
    with torch.no_grad():
        output = net(normalise_tensor(plain_pixels(cohort, slice(len(cohort))), cohort.spec))
    found = validate(net, net.state_dict(), cohort, 5)
    torch.testing.assert_close(found.logits, output.logits)
    absent = 1 - torch.sigmoid(output.logits)
    for column in range(output.logits.shape[1]):
        weighed = absent[:, column, None, None] * output.class_maps[:, column]
        torch.testing.assert_close(found.reference[column], weighed.sum(0) / absent[:, column].sum())


@pytest.mark.parametrize("num_shares", [2, 5])
def test_shares_add_up_to_the_whole_though_some_have_no_batch(make_job: MakeJob, num_shares: int) -> None:
    job = make_job()
    net, cohort = job.net.eval(), job.validation
    whole = validate(net, net.state_dict(), cohort, 4)  # 12 images are three batches
    shares = [validate(net, net.state_dict(), cohort, 4, Share(number, num_shares)) for number in range(num_shares)]
    assert torch.equal(sum(share.logits for share in shares), whole.logits)
    torch.testing.assert_close(sum(share.maps_without for share in shares), whole.maps_without)
    torch.testing.assert_close(sum(share.times_without for share in shares), whole.times_without)


def test_a_net_that_is_sure_of_everything_has_no_reference_to_be_measured() -> None:
    found = Validation(torch.zeros(3, 2), torch.zeros(2, 4, 4).double(), torch.zeros(2).double())
    assert torch.equal(found.reference, torch.zeros(2, 4, 4))


def test_modes_are_as_found(make_job: MakeJob) -> None:
    job = make_job()
    validate(job.net.train(), job.net.state_dict(), job.validation, 4)
    assert all(module.training for module in job.net.modules())
