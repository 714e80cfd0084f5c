"""Every family builds creatures that fit the canvas, stand straight and differ."""

import numpy as np
import pytest

from dcgan_utils.data.painted.brush import as_rgb
from dcgan_utils.data.painted.clay import Clay
from dcgan_utils.data.painted.creatures import COLOURS, EYES, FAMILIES, Creature

SIZE = 96


def build(family, seed=0, eyes="round", zoom=0.95):
    rng = np.random.default_rng(seed)
    main, accent = map(as_rgb, COLOURS["lagoon"])
    creature = Creature(Clay(SIZE, zoom), rng, main, accent, as_rgb("3c8a4e"), eyes)
    FAMILIES[family](creature)
    return np.asarray(creature.clay.image()).astype(int)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_creature_is_whole_and_symmetric(family):
    for seed in range(6):
        pixels = build(family, seed)
        alpha = pixels[..., 3]
        assert alpha[[0, -1]].max() == 0
        assert alpha[:, [0, -1]].max() == 0
        assert 0.15 < (alpha > 128).mean() < 0.8
        assert np.abs(alpha - alpha[:, ::-1]).mean() < 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_no_two_of_a_family_are_alike(family):
    built = [build(family, seed) for seed in range(5)]
    for i, one in enumerate(built):
        assert all(np.abs(one - other).mean() > 1 for other in built[:i])


def test_families_do_not_look_alike():
    silhouettes = [build(family)[..., 3] > 128 for family in FAMILIES]
    for i, one in enumerate(silhouettes):
        for other in silhouettes[:i]:
            assert (one & other).sum() / (one | other).sum() < 0.93


@pytest.mark.parametrize("family", FAMILIES)
def test_eyes_make_a_difference_and_are_seen(family):
    faces = [build(family, eyes=eyes) for eyes in EYES]
    for i, one in enumerate(faces):
        assert all(np.abs(one - other).sum() > 200 for other in faces[:i])
    whites = (faces[0][..., :3].min(axis=2) > 235) & (faces[0][..., 3] == 255)
    assert whites.sum() > 10
