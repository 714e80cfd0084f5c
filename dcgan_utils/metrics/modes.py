"""Which classes of images a generator produces, if the real images have labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dcgan_utils.core.errors import NotEnoughData
from dcgan_utils.core.seeds import seed32

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


FAIR_SHARE = 0.1  # of the frequency of a class among the real images; less counts as missing
FOLDS = 5


def mode_coverage(
    real: np.ndarray, labels: Sequence[str], generated: np.ndarray
) -> dict[str, float]:
    """Return how many classes of images are generated, and how evenly.

    A classifier (logistic regression) is trained on the labelled real images and then classifies
    the generated ones.

    Parameters
    ----------
    real, generated
        Feature vectors, shapes ``(n, d)`` and ``(m, d)``.
    labels
        The class of each real image.

    Returns
    -------
    dict of float
        ``mode_coverage``: share of the classes that are generated at least a tenth as often as
        they occur among the real images. ``mode_entropy``: entropy of the classes of the
        generated images, divided by that of the real ones; 0 if all are of one class.

    Raises
    ------
    NotEnoughData
        If there are fewer than two classes.

    Notes
    -----
    The classifier assigns a class to every image, even to noise, and it may put blurred images
    into one class or spread them at random. A high coverage means that no classes are missing,
    not that the images are good. Classes that the classifier confuses cannot be counted: see
    `classifier_accuracy`.
    """
    from scipy.stats import entropy

    classes, counts = np.unique(np.asarray(labels), return_counts=True)
    if len(classes) < 2:
        raise NotEnoughData("Mode coverage needs images of at least two classes.")
    predicted = classifier().fit(real, labels).predict(generated)
    shares = counts / counts.sum()
    found = np.array([np.mean(predicted == label) for label in classes])
    return {
        "mode_coverage": float(np.mean(found >= FAIR_SHARE * shares)),
        "mode_entropy": float(entropy(found) / entropy(shares)),
    }


def classifier_accuracy(real: np.ndarray, labels: Sequence[str], *, seed: int) -> float:
    """Return the share of held-out real images that are classified correctly.

    This is the cross-validated balanced accuracy, the average over the classes: a classifier that
    always predicts the most frequent of ``c`` classes gets ``1 / c``.

    Parameters
    ----------
    real, labels
        See `mode_coverage`.
    seed
        Of the five folds; there are fewer if the rarest class has fewer images.

    Raises
    ------
    NotEnoughData
        If a class has only one image.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = min(FOLDS, int(np.unique(np.asarray(labels), return_counts=True)[1].min()))
    if folds < 2:
        raise NotEnoughData("Testing the classifier takes at least two images of each class.")
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed32(seed))
    scores = cross_val_score(classifier(), real, labels, cv=parts, scoring="balanced_accuracy")
    return float(scores.mean())


def classifier() -> Pipeline:
    """Return an untrained, regularised logistic regression on standardised vectors."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
