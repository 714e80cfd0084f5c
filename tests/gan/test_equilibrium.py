import math

import numpy as np
import pytest
import torch

from dcgan_utils.gan.equilibrium import (
    WINDOW,
    describe_equilibrium,
    discriminator_advantage,
    divergence_epoch,
    equilibrium_losses,
)


def test_balanced_losses():
    classic = equilibrium_losses(1.0, 0.0)
    assert classic["discriminator"] == pytest.approx(2 * math.log(2))
    assert classic["generator"] == pytest.approx(math.log(2))
    study = equilibrium_losses(0.8, 0.1)
    verdict = torch.linspace(0.01, 0.99, 9801, dtype=torch.double)

    def cross_entropy(label):
        return -label * verdict.log() - (1 - label) * (1 - verdict).log()

    total = cross_entropy(0.8) + cross_entropy(0.1)
    assert study["discriminator"] == pytest.approx(total.min().item(), abs=1e-6)
    assert study["probability"] == pytest.approx(verdict[total.argmin()].item(), abs=1e-3)


def test_the_equilibrium_is_described():
    text = describe_equilibrium(1.0, 0.0)
    assert text.startswith("With the labels 1 and 0,")
    assert "the best output for every image is **0.5**" in text
    assert "**1.39** for the discriminator and **0.69** for the generator" in text


@pytest.mark.parametrize(("real_label", "fake_label"), [(1.0, 0.0), (0.8, 0.1), (0.9, 0.0)])
def test_the_advantage_is_0_at_the_balance_and_1_where_every_verdict_is_right(
    real_label, fake_label
):
    labels = {"real_label": real_label, "fake_label": fake_label}
    balance = equilibrium_losses(**labels)["discriminator"]
    right = sum(
        torch.nn.functional.binary_cross_entropy(torch.tensor(p), torch.tensor(p)).item()
        for p in (real_label, fake_label)
    )
    np.testing.assert_allclose(
        discriminator_advantage([balance, right, balance + 1], **labels)[:2], [0, 1], atol=1e-6
    )
    assert discriminator_advantage([balance + 1], **labels)[0] < 0


def test_losses_that_stay_together_have_not_diverged():
    assert divergence_epoch([]) is None
    assert divergence_epoch([0.3] * 50) is None


def test_losses_part_when_the_window_is_over_the_line_and_stays_there():
    apart = [0.2] * 30 + [1.0] * 40
    # Of ten epochs, eight with 1.0 and two with 0.2 make 0.84, seven and three make 0.76.
    assert divergence_epoch(apart) == 30 + 8
    assert WINDOW == 10


def test_losses_that_came_together_again_have_not_diverged():
    assert divergence_epoch([1.0] * 30 + [0.2] * 30) is None
    again = [1.0] * 30 + [0.2] * 30 + [1.0] * 30
    assert divergence_epoch(again) == 60 + 8


def test_nothing_has_diverged_before_the_window_is_full():
    assert divergence_epoch([0.95] * 9) is None
    assert divergence_epoch([0.95] * 10) == 10
    assert divergence_epoch([0.95] * 3, window=2) == 2


@pytest.mark.parametrize(
    ("real_label", "fake_label", "discriminator", "generator", "verdict"),
    [
        (1.0, 0.0, 1.386294, 0.693147, 0.5),
        (0.8, 0.1, 1.376278, 0.758375, 0.45),
        (0.9, 0.0, 1.376278, 0.778442, 0.45),
    ],
)
def test_balanced_losses_in_numbers(real_label, fake_label, discriminator, generator, verdict):
    assert equilibrium_losses(real_label, fake_label) == pytest.approx(
        {"discriminator": discriminator, "generator": generator, "probability": verdict}, abs=1e-5
    )


@pytest.mark.parametrize(
    ("d_loss", "real_label", "fake_label", "expected"),
    [
        (2 * math.log(2), 1.0, 0.0, 0.0),
        (math.log(2), 1.0, 0.0, 0.5),
        (0.0, 1.0, 0.0, 1.0),
        (4 * math.log(2), 1.0, 0.0, -1.0),
        # The entropies of the study's labels are 0.500402 and 0.325083.
        (1.376278, 0.8, 0.1, 0.0),
        (0.825485, 0.8, 0.1, 1.0),
    ],
)
def test_the_lead_is_a_share_of_the_way_from_balance_to_certainty(
    d_loss, real_label, fake_label, expected
):
    (found,) = discriminator_advantage([d_loss], real_label=real_label, fake_label=fake_label)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("level", "parted"), [(0.79, None), (0.8, 2), (0.81, 2)])
def test_losses_part_at_a_lead_of_0_8(level, parted):
    assert divergence_epoch([level, level], window=2) == parted
    assert divergence_epoch([0.0, 0.0, 2 * level], window=2) == (3 if parted else None)


def test_the_window_has_ten_epochs_without_being_asked():
    assert divergence_epoch([1.0] * 9) is None
    assert divergence_epoch([0.0, 0.0, 0.0] + [1.0] * 7) is None
    assert divergence_epoch([0.0] + [1.0] * 9) == 10


def test_a_mean_of_exactly_0_8_counts_whatever_the_rounding():
    assert divergence_epoch([1.0] * 8 + [0.0] * 2) == 10
    assert divergence_epoch([1.0] * 7 + [0.9] + [0.0] * 2) is None
