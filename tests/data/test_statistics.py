import numpy as np
import pytest
import torch

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.data import statistics
from dcgan_utils.data.painted import paint_scene


def some(n=37, side=12, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, 3, side, side), np.uint8))


def blobs(n, side=64, seed=0):
    """Return smooth images that differ in structure, as photographs do."""
    coarse = torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, (n, 3, 6, 6)))
    smooth = torch.nn.functional.interpolate(coarse, side, mode="bicubic")
    return smooth.clamp(0, 255).to(torch.uint8)


# --- Statistics ----------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [(0,), (0, 1)])
@pytest.mark.parametrize("batch", [1, 5, 100])
def test_statistics_agree_with_numpy_on_the_whole(batch, axes):
    images = some()
    gathered = statistics.pixel_statistics(iter(images.split(batch)))
    found = gathered.per_colour() if axes == (0,) else gathered.over_colours()
    whole = images.numpy().astype(np.float64)
    np.testing.assert_array_equal(found["minimum"], whole.min(axes))
    np.testing.assert_array_equal(found["maximum"], whole.max(axes))
    np.testing.assert_allclose(found["mean"], whole.mean(axes), rtol=1e-14)
    np.testing.assert_allclose(found["variance"], whole.var(axes), rtol=1e-12)
    np.testing.assert_allclose(found["standard deviation"], whole.std(axes), rtol=1e-12)
    assert gathered.count == len(images)


def test_statistics_do_not_depend_on_the_batches():
    one, other = (statistics.pixel_statistics(some(150).split(size)) for size in (7, 150))
    for name, values in one.per_colour().items():
        np.testing.assert_array_equal(values, other.per_colour()[name])


def test_histograms_count_every_pixel():
    images = some()
    histogram = statistics.pixel_statistics([images]).histogram
    for channel in range(3):
        values, counts = np.unique(images[:, channel], return_counts=True)
        np.testing.assert_array_equal(histogram[channel, values], counts)
    assert histogram.sum() == images.numel()


def test_bright_images_that_hardly_differ_keep_their_variance():
    images = torch.full((1001, 3, 2, 2), 254, dtype=torch.uint8)
    images[0] = 255
    variance = statistics.pixel_statistics(images.split(10)).per_colour()["variance"]
    np.testing.assert_allclose(variance, images.numpy().var(0, dtype=np.float64), rtol=1e-8)


def test_one_image_and_equal_ones_have_no_variance():
    for images in (some(1), some(1).expand(50, -1, -1, -1)):
        found = statistics.pixel_statistics([images]).per_colour()
        assert not found["variance"].any()
        np.testing.assert_array_equal(found["mean"], images[0].numpy())


@pytest.mark.parametrize("wrong", [some().float(), some()[0], some()[:, :1]])
def test_statistics_refuse_what_is_no_image(wrong):
    with pytest.raises(WorkbookError, match="uint8 images of shape"):
        statistics.pixel_statistics([wrong])


def test_statistics_refuse_another_size():
    with pytest.raises(WorkbookError, match="load all at one img_size"):
        statistics.pixel_statistics([some(side=12), some(side=8)])


# --- The horizon ---------------------------------------------------------------------------


@pytest.mark.parametrize("row", [10, 32, 50])
def test_the_horizon_is_where_it_gets_dark(row):
    image = np.full((3, 64, 64), 180.0)
    image[:, row:] = 90
    found = statistics.find_horizon(image + np.random.default_rng(0).normal(0, 5, image.shape))
    assert found.position * 64 == row
    assert found.drop == pytest.approx(90, abs=2)
    assert found.is_clear


@pytest.mark.parametrize(
    "image",
    [
        np.full((3, 32, 32), 80.0),
        np.full((3, 1, 1), 80.0),
        np.abs(np.linspace(-1, 1, 64))[None, :, None] * np.full((3, 64, 64), 200.0),  # dark middle
        np.repeat(np.linspace(0, 200, 64)[None, :, None], 64, 2),  # dark above
        np.repeat(np.linspace(200, 100, 64)[None, :, None], 64, 2),  # ever darker
        np.repeat(np.linspace(200, 198, 64)[None, :, None], 64, 2),  # hardly
    ],
)
def test_there_is_not_always_a_horizon(image):
    assert not statistics.find_horizon(image).is_clear


# --- Round canvases ------------------------------------------------------------------------


def on_a_disc(image, radius=1.0, margin=250):
    side = image.shape[-1]
    middle = torch.arange(side) + 0.5 - side / 2
    outside = torch.hypot(middle, middle[:, None]) > radius * side / 2
    return torch.where(outside, torch.tensor(margin, dtype=torch.uint8), image)


@pytest.mark.parametrize("side", [32, 64, 256])
def test_round_canvases_are_found(side):
    images = blobs(6, side) // 2
    for number, radius in ((1, 1.0), (4, 0.93)):
        images[number] = on_a_disc(images[number], radius)
    assert statistics.find_round_canvases(images) == [1, 4]


@pytest.mark.parametrize(
    "image",
    [
        torch.full((3, 64, 64), 255, dtype=torch.uint8),
        on_a_disc(blobs(1)[0] // 2, radius=0.5),  # a subject on a white ground
        on_a_disc(blobs(1)[0] // 2, margin=150),  # a grey mat
        torch.zeros(3, 2, 2, dtype=torch.uint8),
    ],
    ids=["white", "small disc", "grey mat", "too small to tell"],
)
def test_other_images_are_no_round_canvases(image):
    assert statistics.find_round_canvases(image[None]) == []


@pytest.mark.slow
def test_round_canvases_of_plein_air():
    painted = [paint_scene(index, size=64) for index in [*range(1, 101, 4), 12, 78]]
    images = torch.stack(
        [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image, _ in painted]
    )
    expected = [number for number, (_, label) in enumerate(painted) if label.round]
    assert len(expected) == 2
    assert statistics.find_round_canvases(images) == expected


# --- Vectors -------------------------------------------------------------------------------


def test_vectors_and_images_go_back_and_forth():
    images = some(300, side=8)
    vectors = statistics.pixel_vectors(images, 8)
    assert vectors.shape == (300, 192)
    assert vectors.dtype == np.float32
    assert torch.equal(statistics.as_images(vectors), images)
    assert statistics.pixel_vectors(images, 32).shape == (300, 192), "nothing is enlarged"
    np.testing.assert_allclose(
        statistics.pixel_vectors(images, 1), images.numpy().mean((2, 3)), rtol=1e-5
    )
    assert statistics.as_images([vectors[0] * 1000, -vectors[0]]).max() == 255


def test_sharpness_falls_with_blur_and_ignores_slopes():
    sharp = some(6, 40)
    blurred = torch.nn.functional.avg_pool2d(sharp.float(), 3, stride=1, padding=1).to(torch.uint8)
    assert (statistics.sharpness(blurred) < 0.5 * statistics.sharpness(sharp)).all()
    slope = torch.arange(40, dtype=torch.uint8).expand(1, 3, 40, 40)
    assert statistics.sharpness(slope) == pytest.approx([0])


def test_sharpness_is_its_definition_written_out():
    grey = some(1, 5).double().mean(dim=1)[0]
    laplacian = [
        grey[y, x] - (grey[y - 1, x] + grey[y + 1, x] + grey[y, x - 1] + grey[y, x + 1]) / 4
        for y in (1, 2, 3)
        for x in (1, 2, 3)
    ]
    expected = torch.stack(laplacian).var(correction=0).item()
    assert statistics.sharpness(some(1, 5))[0] == pytest.approx(expected)


# --- Thresholds ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drop", "share", "ramp", "clear"),
    [
        (3, 0.5, 0.5, True),
        (2.99, 0.5, 0.5, False),
        (3, 0.49, 0, False),
        (3, 0.5, 0.51, False),
        (3, 0.8, 0.8, True),
        (90, 0.8, 0.81, False),
    ],
)
def test_a_horizon_is_clear_from_its_thresholds_on(drop, share, ramp, clear):
    assert statistics.Horizon(0.5, drop, share, ramp, np.zeros(4)).is_clear == clear


def test_the_horizon_s_numbers_are_written_out():
    rows = np.array([9.0, 8, 3, 2, 0])
    found = statistics.find_horizon(rows[None, :, None] * np.ones((3, 5, 4)))
    assert found.position == 2 / 5
    assert found.drop == pytest.approx(8.5 - 5 / 3)
    between = (2 * (8.5 - 4.4) ** 2 + 3 * (5 / 3 - 4.4) ** 2) / 5
    assert found.share == pytest.approx(between / rows.var())
    assert found.ramp == pytest.approx(np.corrcoef(rows, range(5))[0, 1] ** 2)
    np.testing.assert_allclose(found.brightness, rows)


def radii(side=100):
    middle = torch.arange(side) + 0.5 - side / 2
    return torch.hypot(middle, middle[:, None]) / (side / 2)


def canvas(white, level=255):
    image = torch.full((3, *white.shape), 100, dtype=torch.uint8)
    image[:, white] = level
    return image


def found_round(image):
    return statistics.find_round_canvases(image[None]) == [0]


@pytest.mark.parametrize(("level", "found"), [(229, False), (230, True)])
def test_white_begins_at_230_in_all_colours(level, found):
    image = canvas(radii() > 1)
    for colour in range(3):
        one = image.clone()
        one[colour, radii() > 1] = level
        assert found_round(one) == found


@pytest.mark.parametrize(("missing", "found"), [(0, True), (1, False)])
def test_nine_tenths_of_the_corners_beyond_1_03_are_white(missing, found):
    corners = torch.nonzero(radii().flatten() > 1.03).flatten()
    outwards = corners[radii().flatten()[corners].argsort()]
    white = radii() > 0.9
    if found:
        white &= radii() > 1.03
    white.view(-1)[outwards[: len(corners) // 10 + missing]] = False
    assert found_round(canvas(white)) == found


@pytest.mark.parametrize("edge", ["inner", "outer"])
@pytest.mark.parametrize(("more", "found"), [(0, True), (1, False)])
def test_a_tenth_of_the_ring_from_0_8_to_0_9_may_be_white(more, found, edge):
    ring = torch.nonzero(((radii() > 0.8) & (radii() < 0.9)).flatten()).flatten()
    order = ring[radii().flatten()[ring].argsort(descending=edge == "outer")]
    white = radii() > 1.03
    if found:
        white |= (radii() <= 0.8) | (radii() >= 0.9)
    white.view(-1)[order[: len(ring) // 10 + more]] = True
    assert found_round(canvas(white)) == found


def test_sharpness_in_numbers():
    """A bright point of 8 gives the Laplacians 8, four times -2, and four times 0."""
    image = torch.zeros(1, 3, 5, 5, dtype=torch.uint8)
    image[:, :, 2, 2] = 8
    assert statistics.sharpness(image) == pytest.approx([(8**2 + 4 * 2**2) / 9])
    image[:, :2] = 0
    assert statistics.sharpness(image) == pytest.approx([(8**2 + 4 * 2**2) / 9 / 9])


def test_vectors_are_means_over_squares():
    image = torch.tensor([[1, 3, 10, 20], [5, 7, 30, 41], [0, 0, 9, 9], [0, 1, 9, 9]])
    vectors = statistics.pixel_vectors(image.expand(1, 3, 4, 4).to(torch.uint8), 2)
    assert vectors[0].tolist() == [4, 25.25, 0.25, 9] * 3


# --- The share between images --------------------------------------------------------------


def test_images_of_one_colour_each_differ_in_all_of_their_variance():
    levels = torch.tensor([10, 90, 200], dtype=torch.uint8)[:, None, None, None]
    assert statistics.share_between_images(levels.expand(-1, 3, 8, 8)) == 1


def test_one_image_again_and_again_has_no_share():
    image = some(1)
    assert statistics.share_between_images(image.expand(20, -1, -1, -1)) == 0
    assert statistics.share_between_images(torch.full((4, 3, 8, 8), 128)) == 0
    assert np.isnan(statistics.share_between_images(image))


def test_the_share_is_between_over_between_and_shared():
    """A pattern of variance 9 in all images, and differences of variance 1 at each place."""
    rng = torch.Generator().manual_seed(0)
    pattern = 3 * torch.randn(1, 2, 64, 64, generator=rng)
    images = pattern + torch.randn(200, 2, 64, 64, generator=rng)
    assert statistics.share_between_images(images) == pytest.approx(0.1, abs=0.003)


def test_channels_are_averaged():
    repeated, varied = some(1).expand(30, -1, -1, -1)[:, :1], some(30)[:, :1]
    alone = statistics.share_between_images(varied)
    both = statistics.share_between_images(torch.cat([repeated, varied], dim=1))
    assert both == pytest.approx(alone / 2)


@pytest.mark.parametrize(("contrast", "brightness"), [(0.6, 0), (0.1, 100), (1, -50)])
def test_contrast_and_brightness_cancel(contrast, brightness):
    images = blobs(40).double()
    changed = contrast * (images - 128) + 128 + brightness
    share = statistics.share_between_images(images)
    assert statistics.share_between_images(changed) == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_copies_of_k_images_have_the_share_of_k_images(k):
    """Of k images repeated, the differences have (k - 1) / k of the variance that many have."""
    many = statistics.share_between_images(blobs(400))
    shares = [
        statistics.share_between_images(blobs(k, seed=seed).repeat(100 // k, 1, 1, 1))
        for seed in range(1, 20)
    ]
    assert np.mean(shares) == pytest.approx(many * (k - 1) / k, abs=0.03)


@pytest.mark.parametrize("n", [2, 4, 32])
def test_few_images_can_be_compared_with_many(n):
    rng = torch.Generator().manual_seed(0)
    pattern = torch.randn(1, 1, 32, 32, generator=rng)
    images = pattern + torch.randn(960, 1, 32, 32, generator=rng)
    shares = [statistics.share_between_images(part) for part in images.split(n)]
    assert np.mean(shares) == pytest.approx(statistics.share_between_images(images), abs=0.02)
