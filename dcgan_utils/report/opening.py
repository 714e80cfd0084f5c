"""What an index says first: what was asked, what was found, how sure it is, where to look."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dcgan_utils.core.errors import escape_markdown
from dcgan_utils.report.site import PLAYGROUND, Opening, Page, load_asset
from dcgan_utils.study.claims import VERDICTS
from dcgan_utils.study.findings import describe_study, study_verdicts

RESULTS = ("compare", "trainings", "train")  # pages that may hold the result, the best first


def open_report(name: str, images: int, pages: Sequence[Page], *, has_playground: bool) -> Opening:
    """Return the opening of a report's index.

    Parameters
    ----------
    name, images
        Of the collection: its name, and how many images it has.
    pages
        Those that exist by now.
    has_playground
        Whether there is one beside them.
    """
    by_stem = {page.html.stem: page for page in pages if page.finding and not page.failed}
    result = next((stem for stem in RESULTS if stem in by_stem), "")
    found = headline(by_stem[result]) if result else "Nothing yet: no training is finished."
    play = f", or [play with the noise]({PLAYGROUND})" if has_playground else ""
    look = f"whether the images of one noise differ in what they show{play}."
    return Opening(
        answers=[
            (
                "What was asked?",
                "What does the *noise*, the random numbers from which a generator starts, do to "
                f"the images that it learns from {images:,} images of {escape_markdown(name)}, all "
                "else equal?",
            ),
            ("What was found?", found),
            ("How sure is it?", f"One training of each noise is a hint; {_study_in_brief()}."),
            ("What do I look at?", f"Look below {look}" if result else f"Look {look}"),
            ("And with my images?", "`dcgan report --dataset ~/images`, a folder or a zip."),
        ],
        result=result,
        evidence=f"{describe_study()}\n\n{_verdict_table()}",
        introduction=str(load_asset("introduction.md")),
    )


def open_study(about: str, pages: Sequence[Page]) -> Opening:
    """Return the opening of a study's index.

    Parameters
    ----------
    about
        How many trainings there are, of what.
    pages
        The comparisons.
    """
    found = [
        f"{escape_markdown(page.title)} {headline(page)}"
        for page in pages
        if page.finding and not page.failed
    ]
    return Opening(
        answers=[
            ("What was asked?", "What does the noise do to the images, whatever the seed?"),
            ("What was found?", "\n\n".join(found) or "Nothing yet: see the pages."),
            ("How sure is it?", f"{about} The pages give each claim its verdict and reason."),
        ],
        result=pages[0].html.stem if len(pages) == 1 else "",
        introduction=str(load_asset("introduction.md")),
    )


def headline(page: Page) -> str:
    """Return what a page puts first in bold as Markdown; all of its finding if that has none."""
    bold = re.search(r"<strong>(.*?)</strong>", page.finding, re.S)
    return f"**{bold[1].rstrip('.')}.**" if bold else str(page.finding)


def _study_in_brief() -> str:
    table = study_verdicts()
    counts = [f"{n} {word}" for word in VERDICTS if (n := int((table["verdict"] == word).sum()))]
    trainings = table.drop_duplicates("collection")["trainings"].sum()
    names, judged = " and ".join(table["collection"].unique()), ", ".join(counts)
    return f"the noise study of {trainings} trainings judges the claims on {names}: {judged}"


def _verdict_table() -> str:
    """Return the claims and their verdicts on each collection of the noise study."""
    table = study_verdicts()
    names = list(table["collection"].unique())
    rows = [f"| claim | {' | '.join(names)} |", f"|:---|{':---|' * len(names)}"]
    for (letter, claim), own in table.groupby(["letter", "study"], sort=False):
        verdicts = own.set_index("collection")["verdict"]
        cells = " | ".join(f"**{verdicts[name]}**" if name in verdicts else "" for name in names)
        rows.append(f"| ({letter}) {claim} | {cells} |")
    return "\n".join(rows)
