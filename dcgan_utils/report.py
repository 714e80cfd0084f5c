"""The report: notebooks run through papermill, rendered as pages that need no network."""

from __future__ import annotations

import base64
import datetime
import io
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from dcgan_utils import noise
from dcgan_utils.benchmark import picture_files
from dcgan_utils.config import BenchmarkConfig, TrainConfig
from dcgan_utils.datasets import load_dataset, locate
from dcgan_utils.errors import WorkbookError
from dcgan_utils.files import made, told_when_not_writable, written_whole
from dcgan_utils.paths import notebooks_dir, report_dir
from dcgan_utils.runs import environment, run_name

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = [
    "Page",
    "build_benchmark",
    "build_report",
    "render_html",
    "run_notebook",
    "write_index",
]

logger = logging.getLogger(__name__)
_BRIEF_CAPACITY = {"copies": 512, "epochs": 20, "batch_size": 16}  # about a minute
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Page:
    """One executed notebook and the page made from it.

    Attributes
    ----------
    failed
        The error's sentence if the notebook stopped, else empty.
    picture
        Base64 JPEG of the figure whose cell is tagged ``cover``, or empty.
    """

    title: str
    summary: str
    notebook: Path
    html: Path
    seconds: float
    failed: str
    picture: str


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
        As `datasets.load_dataset` takes it.
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
    location = locate(dataset)
    source = dataset if location.name == dataset else str(location.path.resolve())
    given = {**(parameters or {}), "preset": preset, "dataset": source}
    priors = noise.parse_list(noises)
    configs = [TrainConfig.resolve(**given, noise=str(prior)) for prior in priors]
    same = {"dataset": source, "seed": configs[0].seed, "device": configs[0].device}
    pictures = load_dataset(source, configs[0].img_size)
    configs = [config.for_collection(len(pictures.images)) for config in configs]
    if benchmark is not None:
        chosen = {"precision": given.get("precision", "auto"), "numbers": pictures.name}
        benchmark = same | chosen | benchmark
        BenchmarkConfig.checked(**benchmark)
        picture_files(source, configs[0].img_size)
    folder = made(report_dir(pictures.name))

    pages: list[Page] = []
    trained: list[str] = []

    def add(page: Page) -> None:
        pages.append(page)
        write_index(folder, pictures.name, pages)
        if on_page is not None:
            on_page(page)

    add(
        run_notebook(
            "eda",
            folder / "eda.ipynb",
            same,
            title="The collection",
            summary=f"What is in {pictures.name}: pictures, pixels, clusters, planes.",
            stream=stream,
        )
    )
    sized = same | {"img_size": configs[0].img_size}
    add(
        run_notebook(
            "augment",
            folder / "augment.ipynb",
            sized,
            title="Augmentation",
            summary="What each kind of augmentation makes of one picture.",
            stream=stream,
        )
    )
    for prior, config in zip(priors, configs, strict=True):
        page = run_notebook(
            "train",
            folder / f"train-{prior.slug}.ipynb",
            given | {"noise": str(prior)},
            title=f"Training with {prior.label}",
            summary=f"A DCGAN trained on {pictures.name} from {prior.label} noise.",
            stream=stream,
        )
        add(page)
        if not page.failed:
            trained.append(run_name(config, pictures))
    add(
        run_notebook(
            "capacity",
            folder / "capacity.ipynb",
            sized | _BRIEF_CAPACITY | {"width": configs[0].width},
            title="Capacity",
            summary="Can the second study's generator draw one picture exactly?",
            stream=stream,
        )
    )
    count = max(2, min(len(pictures.images), 300))
    if trained:
        add(
            run_notebook(
                "latent",
                folder / "latent.ipynb",
                {
                    "run": trained[0],
                    "samples": count,
                    "seed": same["seed"],
                    "device": same["device"],
                },
                title="A walk through the latent space",
                summary="Along a vector, between vectors, to the nearest training pictures.",
                stream=stream,
            )
        )
    if len(trained) > 1:
        add(
            run_notebook(
                "compare",
                folder / "compare.ipynb",
                {
                    "runs": ",".join(trained),
                    "samples": count,
                    "numbers": pictures.name,
                    "device": same["device"],
                },
                title="The noises compared",
                summary="Prediction, samples side by side, measures, and the study's claims.",
                stream=stream,
            )
        )
    if benchmark is not None:
        add(_run_benchmark(folder, benchmark, stream))
    return folder / "index.html", pages


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
    picture_files(config.dataset, config.img_size)
    return _run_benchmark(made(report_dir("benchmark")), parameters, stream)


def _run_benchmark(folder: Path, parameters: dict[str, Any], stream: TextIO | None) -> Page:
    return run_notebook(
        "benchmark",
        folder / "benchmark.ipynb",
        parameters,
        title="How fast it is",
        summary="This training beside a textbook's, and beside what the machine can do.",
        stream=stream,
    )


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
        If there is no such notebook, or the copy or the page cannot be written.
    """
    import nbformat
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
        with told_when_not_writable(output):
            papermill.execute_notebook(
                source,
                output,
                parameters=parameters,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=stream,
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
    executed = nbformat.read(output, as_version=4)
    html = output.with_suffix(".html")
    with written_whole(html) as file:
        file.write(render_html(executed, title=title, failed=bool(failed)).encode())
    seconds = time.perf_counter() - began
    return Page(title, summary, output, html, seconds, failed, _cover(executed))


def render_html(notebook: NotebookNode, *, title: str, failed: bool = False) -> str:
    """Render an executed notebook as one self-contained page.

    Formulas become MathML, which browsers draw by themselves; nbconvert's own page would
    load MathJax from elsewhere.
    """
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="workbook",
        extra_template_basedirs=[str(_TEMPLATES)],
        filters={"markdown2html": _markdown_to_html},
    )
    page = {"title": title, "css": _css(), "failed": failed}
    body, _ = exporter.from_notebook_node(_without_papermill_banner(notebook), {"page": page})
    return body


def _without_papermill_banner(notebook: NotebookNode) -> NotebookNode:
    """Drop the cells that papermill adds to point at an error: ours says it in its own way."""
    kept = [
        c for c in notebook.cells if "papermill-error-cell-tag" not in c.metadata.get("tags", [])
    ]
    return type(notebook)({**notebook, "cells": kept})


def _markdown_to_html(source: str) -> str:
    from latex2mathml.converter import convert
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return convert(body.strip(), display="block")

        def inline_math(self, body: str) -> str:
            return convert(body.strip())

    return MarkdownWithMath(renderer=Renderer(escape=False)).render(source)


def _css() -> str:
    """Return the house style, with code colours for the light and the dark look."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    own = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{own}"


def _outputs_tagged(notebook: NotebookNode, tag: str) -> Iterator[dict[str, Any]]:
    for cell in notebook.cells:
        if tag in cell.metadata.get("tags", []):
            yield from (output.get("data", {}) for output in cell.get("outputs", []))


def _cover(notebook: NotebookNode) -> str:
    from PIL import Image

    for data in _outputs_tagged(notebook, "cover"):
        drawn = data.get("image/png") or data.get("image/jpeg")
        if drawn:
            picture = Image.open(io.BytesIO(base64.b64decode(drawn)))
            picture.thumbnail((640, 640))
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "JPEG", quality=85)
            return base64.b64encode(buffer.getvalue()).decode()
    return ""


_LEAD = (
    "First the collection itself, and what augmentation makes of it; then one DCGAN for each noise "
    "distribution, all else equal; then what a generator can draw at all, a walk through its "
    "latent space, and all runs beside each other."
)


def write_index(folder: Path, name: str, pages: list[Page], *, lead: str = _LEAD) -> Path:
    """Write ``index.html``: a card a page, with its cover picture, under a title and a lead."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    template = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True).get_template(
        "report.html.j2"
    )
    index = folder / "index.html"
    text = template.render(
        title=f"{name}: what the noise does to the pictures",
        lead=lead,
        pages=pages,
        css=Markup(_css()),
        environment=environment(),
        made=datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
    )
    with written_whole(index) as file:
        file.write(text.encode())
    return index
