"""The builds of an export in the terminal."""

from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from pocketcxr.runtime.card_gate import ExportGate


def print_builds(gate: "ExportGate", console: Console) -> None:
    """Every build that was tried, and which is shipped.

    Builds are the columns: their figures would not fit beside each other.
    """
    from rich.table import Table

    from pocketcxr.recipes.export_page import headers, headline, table

    rows = table(gate)
    shown = Table(box=None, pad_edge=False)
    shown.add_column(no_wrap=True)
    for cells in rows:
        shown.add_column(cells[0], justify="right")
    for place, header in enumerate(headers(gate)[1:], start=1):
        shown.add_row(header, *(_stacked(cells[place]) for cells in rows))
    shown.add_row("verdict", *(_verdict(gate, place) for place in range(len(rows))))
    console.print(shown, highlight=False)
    for build, cells in zip(gate.builds, rows, strict=True):
        if build.failures:
            console.print(f"{cells[0]} fails: {'; '.join(build.failures)}", highlight=False)
    console.print(headline(gate), highlight=False)
    console.print(f"{gate.processor}; {gate.cohort}; changes are against fp32", style="dim", highlight=False)


def _stacked(cell: str) -> str:
    """A figure over its interval, which is written as short as can be: three builds fit 80 columns."""
    return cell.replace(" (", "\n").replace(" to ", "..").removesuffix(")")


def _verdict(gate: "ExportGate", place: int) -> str:
    if place == gate.shipped:
        return "shipped"
    return "passes" if gate.builds[place].passes else "fails"
