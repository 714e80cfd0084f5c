"""How trainings ended, by the stated rules, and what is said of them."""

import re
import types

import pandas as pd
import pytest
import torch

from dcgan_utils.core.files import reports_dir
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.metrics import evaluation
from dcgan_utils.runs import sampling
from dcgan_utils.study import claims, findings
from dcgan_utils.study.findings import (
    COLLAPSED,
    DISCRIMINATOR_WON,
    LEARNED,
    NOT_YET,
    Outcome,
    describe_outcomes,
    judge_outcome,
)

ANCHORS = {"real": {"support_size": 900.0}, "grey": {"kid": 0.4}}
GOOD = {"kid": 0.1, "share_between_images": 1.0, "support_size": 800.0}


@pytest.mark.parametrize(
    ("measures", "diverged", "verdict", "reason"),
    [
        ({}, None, LEARNED, ""),
        ({"kid": 0.299}, 12, LEARNED, ""),  # diverged losses do not spoil good images
        ({"kid": 0.301}, None, NOT_YET, ""),
        ({"kid": 0.301}, 12, DISCRIMINATOR_WON, "the losses diverged at epoch 12"),
        ({"support_size": 19.6}, None, COLLAPSED, "it draws about 20 kinds of images"),
        ({"support_size": 20.0}, None, LEARNED, ""),
        ({"support_size": 4.0, "kid": 0.5}, 12, COLLAPSED, "it draws about 4 kinds of images"),
        ({"share_between_images": 0.5}, None, LEARNED, ""),
        (
            {"share_between_images": 0.03},
            None,
            COLLAPSED,
            "3% of the variance between real images is between its images",
        ),
    ],
)
def test_each_ending_has_its_rule(measures, diverged, verdict, reason):
    outcome = judge_outcome(GOOD | measures, ANCHORS, diverged=diverged)
    assert (outcome.verdict, outcome.reason, outcome.grey) == (verdict, reason, 0.4)


def test_few_kinds_are_no_collapse_where_the_collection_has_few():
    few = GOOD | {"support_size": 10.0}
    anchors = ANCHORS | {"real": {"support_size": 19.0}}
    assert judge_outcome(few, anchors, diverged=None).verdict == LEARNED
    assert judge_outcome(few, ANCHORS, diverged=None).verdict == COLLAPSED


def test_a_generator_that_repeats_or_has_not_begun_is_found_out(monkeypatch):
    run = types.SimpleNamespace(divergence_epoch=lambda: None)
    rng = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 256, (64, 3, 4, 4), generator=rng).float()
    real = torch.nn.functional.interpolate(blocks, 32).to(torch.uint8)
    drawn = {
        COLLAPSED: real[:3].repeat(20, 1, 1, 1),
        LEARNED: real.flip(3),
        NOT_YET: torch.randint(0, 256, real.shape, generator=rng, dtype=torch.uint8),
    }
    for verdict, images in drawn.items():
        monkeypatch.setattr(sampling, "sample", lambda *a, images=images, **k: images)
        assert findings.assess(run, real).verdict == verdict


def test_brief_measures_are_those_of_the_evaluation():
    rng = torch.Generator().manual_seed(0)
    real, generated = torch.randint(0, 256, (2, 12, 3, 32, 32), generator=rng, dtype=torch.uint8)
    whole = evaluation.evaluate(real, generated, seed=0)
    brief = evaluation.brief_measures(real, generated)
    assert brief == {name: pytest.approx(whole[name]) for name in brief}
    assert {*brief} == {"kid", "share_between_images", "support_size"}


# --- In sentences --------------------------------------------------------------------------


class Stub:
    """Has the parameters of a run."""

    def __init__(self, noise, **parameters):
        self.config = TrainConfig.resolve(noise=noise, **parameters)


def told(seeds=1, **trainings):
    """Return what is said of trainings, given as noise, verdict and parameters."""
    runs = {name: Stub(noise, **more) for name, (noise, _, more) in trainings.items()}
    outcomes = {
        name: Outcome(verdict, "it repeats" if verdict == COLLAPSED else "", 0.2, 0.36)
        for name, (_, verdict, _) in trainings.items()
    }
    return describe_outcomes(outcomes, runs, seeds=seeds)


def test_the_headline_names_each_ending_once():
    text = told(
        a=("normal", LEARNED, {}), b=("gamma", COLLAPSED, {}), c=("uniform", LEARNED, {}),
        d=("laplace", DISCRIMINATOR_WON, {}), e=("sphere", NOT_YET, {}),
    )  # fmt: skip
    head = re.match(r"\*\*(.*?)\*\*", text)[1]
    assert head == (
        "a and c learned; b collapsed; Against d the discriminator won; e has not learned yet"
    )
    assert "b: it repeats." in text
    assert "0.36 for grey images" in text


def test_theory_predicts_repetition_for_a_mean_and_a_pooling_batchnorm_alone():
    predicts = "Theory predicts it for x"
    assert predicts in told(x=("gamma", COLLAPSED, {}))
    assert predicts in told(x=("N(1, 1)", COLLAPSED, {"architecture": "resize"}))
    for noise, more in (
        ("normal", {}),
        ("gamma", {"first_norm": "unit"}),
        ("gamma", {"architecture": "pokemon"}),
        ("standardized(gamma)", {}),
    ):
        assert "Theory does not predict it for x" in told(x=(noise, COLLAPSED, more))
    assert "Theory predicts repetition for x too" in told(x=("gamma", LEARNED, {}))
    assert "Theory" not in told(x=("normal", LEARNED, {}))


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [(1, "One training of each noise is a hint, not a proof."),
     (2, "2 trainings of each noise are a hint, not a proof."),
     (3, "There are 3 seeds of each noise, so the claims can be judged.")],
)  # fmt: skip
def test_fewer_than_three_seeds_are_a_hint(seeds, sentence):
    assert told(seeds, x=("normal", LEARNED, {})).endswith(sentence)


# --- The noise study -----------------------------------------------------------------------


def test_the_packages_verdicts_are_those_of_the_record(monkeypatch):
    monkeypatch.delenv("DCGAN_HOME")
    for collection, own in findings.study_verdicts().groupby("collection"):
        record = reports_dir() / "noise-study" / collection / f"{collection}-dcgan"
        known = pd.read_csv(f"{record}-claims.csv")
        pd.testing.assert_frame_equal(own[known.columns].reset_index(drop=True), known)
        measures = pd.read_csv(f"{record}-measures.csv")
        assert {*own["trainings"]} == {len(measures)}
        assert {*own["seeds"]} == {measures["seed"].nunique()}


def test_the_study_in_words_counts_all_claims(monkeypatch):
    table = pd.DataFrame(
        {
            "collection": ["a"] * 3,
            "trainings": 27,
            "seeds": 3,
            "letter": ["c", "f", "e"],
            "study": ["It hurts.", f"{findings.OURS}It cures.", "It blurs."],
            "verdict": [claims.CONFIRMED, claims.CONFIRMED, claims.REFUTED],
        }
    )
    monkeypatch.setattr(findings, "study_verdicts", lambda: table)
    assert findings.describe_study() == (
        "The noise study (27 trainings on a, 3 seeds of each noise) confirms 2 of 3 claims: "
        "“It hurts”; “It cures”. The others: 1 refuted."
    )
