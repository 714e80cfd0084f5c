"""The report: notebooks run through papermill, one after the other, and the site they make."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from dcgan_utils.core.errors import WorkbookError
from dcgan_utils.core.files import ensure_dir, friendly_write_errors, notebooks_dir, report_dir
from dcgan_utils.data.load import image_files, load_dataset
from dcgan_utils.data.sources import locate
from dcgan_utils.gan import priors
from dcgan_utils.gan.config import TrainConfig
from dcgan_utils.report.configs import BenchmarkConfig
from dcgan_utils.report.playground import write_playground
from dcgan_utils.report.site import PLAYGROUND, Page, make_page, write_index, write_site
from dcgan_utils.runs.run import Run, run_name

logger = logging.getLogger(__name__)
_BRIEF_CAPACITY = {"copies": 512, "epochs": 20, "batch_size": 16}  # about a minute
_BENCHMARK = {
    "title": "How fast it is",
    "summary": "This training beside a textbook's, and beside what the machine can do.",
}
_LEAD = (
    "First the collection itself, and what augmentation makes of it; then one DCGAN for each noise "
    "distribution, all else equal; then what a generator can draw at all, a walk through its "
    "latent space, and all runs beside each other."
)


def build_report(
    dataset: str = "plein_air",
    noises: str = "uniform,normal,gamma",
    *,
    preset: str = "quick",
    parameters: dict[str, Any] | None = None,
    benchmark: dict[str, Any] | None = None,
    stream: TextIO | None = None,
    on_page: Callable[[Page], None] | None = None,
) -> tuple[Path, list[Page]]:
    """Explore, augment, train once a prior, test, walk, compare: ``reports/<dataset>/``.

    Parameters
    ----------
    dataset
        As `load.load_dataset` takes it.
    noises
        Specs separated by commas.
    preset, parameters
        Passed on to ``train.ipynb``.
    benchmark
        Parameters of ``benchmark.ipynb``, which then measures the speed at the end, in about ten
        minutes; ``None`` leaves that out.
    stream
        Where the notebooks' text output is copied while they run.
    on_page
        Called with each page once it is written.

    Returns
    -------
    index : Path
        The page that links the others.
    pages : list of Page
        In order; those that failed say why.

    Raises
    ------
    WorkbookError
        If the input is wrong; nothing has been trained then.
    """
    source = locate(dataset).source
    given = {**(parameters or {}), "preset": preset, "dataset": source}
    chosen = priors.parse_list(noises)
    configs = [TrainConfig.resolve(**given, noise=str(prior)) for prior in chosen]
    same = {"dataset": source, "seed": configs[0].seed, "device": configs[0].device}
    images = load_dataset(source, configs[0].img_size)
    configs = [config.for_collection(len(images.images)) for config in configs]
    if benchmark is not None:
        chosen = {"precision": given.get("precision", "auto"), "numbers": images.name}
        benchmark = same | chosen | benchmark
        BenchmarkConfig.checked(**benchmark)
        image_files(source, configs[0].img_size)
    folder = ensure_dir(report_dir(images.name))

    pages: list[Page] = []

    def add(notebook: str, stem: str, values: dict[str, Any], *, title: str, summary: str) -> Page:
        output = folder / f"{stem}.ipynb"
        page = run_notebook(notebook, output, values, title=title, summary=summary, stream=stream)
        pages.append(page)
        write_index(folder, images.name, pages, lead=_LEAD)
        if on_page is not None:
            on_page(page)
        return page

    add(
        "eda",
        "eda",
        same,
        title="The collection",
        summary=f"What is in {images.name}: images, pixels, clusters, planes.",
    )
    sized = same | {"img_size": configs[0].img_size}
    add(
        "augment",
        "augment",
        sized,
        title="Augmentation",
        summary="What each kind of augmentation makes of one image.",
    )
    trained = []
    for prior, config in zip(chosen, configs, strict=True):
        page = add(
            "train",
            f"train-{prior.slug}",
            given | {"noise": str(prior)},
            title=f"Training with {prior.label}",
            summary=f"A DCGAN trained on {images.name} from noise of mean {prior.mean:.3g} and "
            f"deviation {prior.std:.3g}.",
        )
        if not page.failed:
            trained.append(run_name(config, images))
    add(
        "capacity",
        "capacity",
        sized | _BRIEF_CAPACITY | {"width": configs[0].width},
        title="Capacity",
        summary="Can the second study's generator draw one image exactly?",
    )
    measured = {"samples": max(6, min(len(images.images), 300)), "device": same["device"]}
    if trained:
        add(
            "latent",
            "latent",
            measured | {"run": trained[0], "seed": same["seed"]},
            title="A walk through the latent space",
            summary="Along a vector, between vectors, to the nearest training images.",
        )
    if len(trained) > 1:
        add(
            "compare",
            "compare",
            measured | {"runs": ",".join(trained), "numbers": images.name},
            title="The noises compared",
            summary="Prediction, samples side by side, measures, and the study's claims.",
        )
    if benchmark is not None:
        add("benchmark", "benchmark", benchmark, **_BENCHMARK)
    _add_playground(folder, trained, pages)
    return write_site(folder, images.name, pages, lead=_LEAD), pages


def _add_playground(folder: Path, trained: Sequence[str], pages: Sequence[Page]) -> None:
    """Put the trained generators into a page to play with; a report is whole without it, too."""
    try:
        (folder / PLAYGROUND).unlink(missing_ok=True)
        if trained:
            write_playground([Run(name) for name in trained], folder / PLAYGROUND, pages=pages)
    except (WorkbookError, OSError) as error:
        logger.warning("There is no playground: %s", error)


def build_benchmark(parameters: dict[str, Any], *, stream: TextIO | None = None) -> Page:
    """Run ``benchmark.ipynb``; write its page and its numbers into ``reports/benchmark/``.

    Parameters
    ----------
    parameters
        Of the notebook.
    stream
        Where the notebook's text output is copied while it runs.

    Raises
    ------
    WorkbookError
        If a parameter is wrong, or the folder cannot be made.
    """
    config = BenchmarkConfig.checked(**parameters)
    image_files(config.dataset, config.img_size)
    output = ensure_dir(report_dir("benchmark")) / "benchmark.ipynb"
    return run_notebook("benchmark", output, parameters, stream=stream, **_BENCHMARK)


def run_notebook(
    name: str,
    output: Path,
    parameters: dict[str, Any],
    *,
    title: str,
    summary: str = "",
    stream: TextIO | None = None,
) -> Page:
    """Run one notebook and render it beside its executed copy.

    A notebook that fails leaves its copy with the error in place; its page says so.

    Parameters
    ----------
    name
        Stem of a notebook in ``notebooks/``.
    output
        Where the executed copy goes; the page lies beside it.
    parameters
        Injected after the notebook's parameters cell.
    title, summary
        For the page and the index.
    stream
        Where the notebook's text output is copied while it runs.

    Raises
    ------
    WorkbookError
        If there is no such notebook, no kernel, or the copy or the page cannot be written.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    source = notebooks_dir() / f"{name}.ipynb"
    if not source.exists():
        there = ", ".join(sorted(path.stem for path in notebooks_dir().glob("*.ipynb")))
        raise WorkbookError(
            f"there is no notebook '{source}'. There are: {there or 'none'}. The report needs "
            "the project's checkout, installed with 'pip install -e'."
        )
    failed, began = "", time.perf_counter()
    try:
        with friendly_write_errors(output), _friendly_kernel_errors():
            papermill.execute_notebook(
                source,
                output,
                parameters=parameters,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=stream,
                # ipykernel warns that it talks to this machine over TCP without encryption.
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
            )
    except papermill.PapermillExecutionError as error:
        failed = f"{error.ename}: {error.evalue}"
    except DeadKernelError:
        failed = (
            "the kernel died, perhaps for want of memory: "
            "a smaller width, batch_size or img_size may help."
        )
    if failed:
        logger.error("%s stopped: %s", output.name, failed)
    seconds = time.perf_counter() - began
    return make_page(output, title=title, summary=summary, seconds=seconds, failed=failed)


@contextmanager
def _friendly_kernel_errors() -> Iterator[None]:
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import DeadKernelError

    try:
        yield
    except DeadKernelError:  # it has lived
        raise
    except (NoSuchKernel, FileNotFoundError, RuntimeError) as error:
        raise WorkbookError(
            f"the Jupyter kernel 'python3' does not start ({type(error).__name__}: {error}). "
            f"'{sys.executable} -m ipykernel install --sys-prefix' makes one; "
            "'python -m dcgan_utils doctor' tells more."
        ) from error
