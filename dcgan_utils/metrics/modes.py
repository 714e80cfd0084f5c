"""Which classes of images a generator draws, where the classes are known by labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.seeds import seed32

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


FAIR_SHARE = 0.1  # of the share that a kind has among the real images; less counts as missed
FOLDS = 5


def mode_coverage(
    real: np.ndarray, labels: Sequence[str], generated: np.ndarray
) -> dict[str, float]:
    """Return how many classes of images are drawn, and how evenly.

    A classifier (logistic regression) learns the classes from the labelled images and sorts the
    generated ones.

    Parameters
    ----------
    real, generated
        Feature vectors, shapes ``(n, d)`` and ``(m, d)``.
    labels
        The kind of each real image.

    Returns
    -------
    dict of float
        ``mode_coverage``: share of the classes that are drawn at least a tenth as often as they
        occur among the real images. ``mode_entropy``: entropy of the drawn classes, divided by
        that of the real ones; 0 if all are of one kind.

    Raises
    ------
    NotMeaningful
        If there are fewer than two classes.

    Notes
    -----
    The classifier must name a kind for every image, however little it looks like any: noise
    is sorted too, and blurred images may go to one kind or be spread by chance. A high
    coverage says that classes are not missing, not that the images are good. What it cannot
    tell apart it cannot count: see `classifier_accuracy`.
    """
    from scipy.stats import entropy

    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    if len(classes) < 2:
        raise NotEnoughData("Mode coverage needs images of at least two classes.")
    drawn = classifier().fit(real, labels).predict(generated)
    shares = counts / counts.sum()
    found = np.array([np.mean(drawn == kind) for kind in classes])
    return {
        "mode_coverage": float(np.mean(found >= FAIR_SHARE * shares)),
        "mode_entropy": float(entropy(found) / entropy(shares)),
    }


def classifier_accuracy(real: np.ndarray, labels: Sequence[str], *, seed: int) -> float:
    """Return the share of real images, held back in turn, that are sorted rightly.

    The mean of the shares of the classes: who always names the commonest kind gets no more than
    one in the number of classes.

    Parameters
    ----------
    real, labels
        As for `mode_coverage`.
    seed
        Of the parts into which the images are divided: five, or as many as the rarest
        kind has images.

    Raises
    ------
    NotMeaningful
        If there is only one image of some kind.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = min(FOLDS, int(np.unique(np.asarray(labels), return_counts=True)[1].min()))
    if folds < 2:
        raise NotEnoughData("To test a classifier takes two images of each kind.")
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed32(seed))
    scores = cross_val_score(classifier(), real, labels, cv=parts, scoring="balanced_accuracy")
    return float(scores.mean())


def classifier() -> Pipeline:
    """Return a regularised logistic regression of standardised vectors, untrained."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
