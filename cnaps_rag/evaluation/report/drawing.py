"""What matplotlib draws, as SVG that may stand in a page: without styles, colours by name, ids of its own.

The page's policy admits no inline style, so every style becomes attributes; the colours become the page's variables, so
that one drawing serves light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from cnaps_rag.evaluation.report.wording import library_of, seen

if TYPE_CHECKING:
    from collections.abc import Generator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, FIRST, SECOND, GOOD, BAD, PAPER = (f"#0a0b{number:02x}" for number in range(8))
"""Stand for the page's colours while matplotlib draws; ``--first`` and ``--second`` are those of the two runs."""

_VARIABLES = dict(
    zip(
        (INK, MUTED, LINE, FIRST, SECOND, GOOD, BAD, PAPER),
        ("ink", "muted", "line", "first", "second", "good", "bad", "paper"),
        strict=True,
    )
)

_POINTS_PER_INCH = 72
_FONT_SIZE = 11  # points, of 340 across: as large as the page's small print on a phone

_ATTRIBUTES = frozenset(
    """
    fill fill-opacity opacity stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-dasharray
    stroke-dashoffset text-anchor font-size font-weight
    """.split()  # noqa: SIM905 - one word a place is how the list is read
)


@contextmanager
def drawing(width: int, height: int) -> Generator[tuple[Figure, Axes]]:
    """A figure of so many points with bare axes, under the settings that make the same bytes of the same figures.

    Raises:
        RequestError: matplotlib is not installed.
    """
    with library_of("evals", "matplotlib"):
        import matplotlib as mpl
        from matplotlib.figure import Figure
    settings: dict[Any, Any] = {
        "svg.hashsalt": "cnaps_rag",
        "svg.fonttype": "none",
        "text.parse_math": False,  # a name may hold dollar signs
        "font.size": _FONT_SIZE,
        "text.color": INK,
        "axes.edgecolor": LINE,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), layout="constrained")
        figure.patch.set_visible(False)
        axes = figure.add_subplot()
        axes.patch.set_visible(False)
        yield figure, axes


def svg_of(figure: Figure, name: str, label: str, title_by_href: Mapping[str, str] | None = None) -> str:
    """The figure as an ``svg`` element.

    Args:
        figure: drawn under `drawing`, still within it.
        name: unique in the page; its ids begin with it.
        label: what it shows, for whoever does not see it.
        title_by_href: what to say of a dot that leads somewhere, by where it leads.
    """
    page = StringIO()
    figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(page.getvalue())  # matplotlib's own words: names in it are escaped by it
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("}metadata", "}style")):
                parent.remove(child)
    used_ids = set(_USED_ID.findall(page.getvalue()))
    for element in root.iter():
        _adopt(element, name, used_ids)
        if element.tag == "a":
            _lead(element, title_by_href or {})
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": label,
        "stroke-linejoin": "round",
        "class": "plot",
    }
    return ElementTree.tostring(root, encoding="unicode")


_USED_ID = re.compile(r'(?:href="#|url\(#)([\w.-]+)')
_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def _adopt(element: ElementTree.Element, name: str, used_ids: set[str]) -> None:
    element.tag = element.tag.rpartition("}")[2]
    found = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    found |= dict(_presented(found.pop("style", "")))
    if found.get("id") not in used_ids:
        found.pop("id", None)
    is_use = element.tag == "use"
    for key, value in found.items():
        if key == "id":
            found[key] = f"{name}-{value}"
        elif key == "clip-path" or (key == "href" and is_use):
            found[key] = value.replace("#", f"#{name}-", 1)
        elif key in _PLACES:
            found[key] = _NUMBER.sub(lambda number: f"{float(number.group()):.2f}", value)
    element.attrib = {key: found[key] for key in sorted(found)}


_PLACES = frozenset({"d", "x", "y", "width", "height", "transform"})


def _presented(style: str) -> Iterator[tuple[str, str]]:
    """Declarations of an inline style as attributes of SVG; of a font only its size."""
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        size = re.search(r"[\d.]+px", value) if name == "font" else None
        if size is not None:
            yield "font-size", size.group()
        elif name in _ATTRIBUTES:
            yield name, f"var(--{_VARIABLES[value]})" if value in _VARIABLES else value


def _lead(element: ElementTree.Element, title_by_href: Mapping[str, str]) -> None:
    if not element.get("href"):
        element.tag = "g"
        return
    # The table of cases is the way for the keyboard: a drawing's dots are no stops on it.
    element.set("tabindex", "-1")
    element.attrib.pop("target", None)
    title = ElementTree.Element("title")
    title.text = seen(title_by_href.get(element.get("href", ""), ""))
    element.insert(0, title)
