"""One self-contained HTML page of an export's builds, and their table in words for page and terminal alike."""

from pathlib import Path

from pocketcxr._version import __version__
from pocketcxr.evaluate import wording
from pocketcxr.evaluate.pages import template, write_whole
from pocketcxr.runtime.card import CardFacts
from pocketcxr.runtime.card_calibration import Interval
from pocketcxr.runtime.card_gate import BuildMeasurement, ExportGate

MEGABYTE = 1_000_000


def builds_page(bundle: Path) -> Path:
    """Where the page of a bundle's builds lies: beside it."""
    return bundle.with_name(f"{bundle.name.removesuffix('.zip')}.builds.html")


def write_builds(facts: CardFacts, gate: ExportGate, path: Path) -> None:
    """Write the page to `path`, replacing it whole."""
    write_whole(render_builds(facts, gate), path)


def render_builds(facts: CardFacts, gate: ExportGate) -> str:
    """The page as text: no script, no address, light and dark."""
    rows = list(zip(gate.builds, table(gate), strict=True))
    return template("builds.html.j2").render(
        facts=facts,
        created=f"{facts.created:%Y-%m-%d %H:%M} UTC",
        version=__version__,
        gate=gate,
        rows=rows,
        headers=headers(gate),
        headline=headline(gate),
        named=named,
        wording=wording,
    )


def headline(gate: ExportGate) -> str:
    """Which build is shipped and what that brings, in one sentence."""
    chosen, float32 = gate.builds[gate.shipped], gate.builds[0]
    times = float32.compute_ms / chosen.compute_ms
    share = chosen.file_bytes / float32.file_bytes
    if gate.shipped == 0:
        return "Shipped: fp32. No other build that keeps the numbers is clearly faster on this machine."
    return f"Shipped: {named(chosen)}, {times:.2f} times as fast as fp32 at one thread, in {share:.0%} of its bytes."


def named(build: BuildMeasurement) -> str:
    """The build's name, with the layers it computes in float where INT8 was tried again."""
    if build.precision != "int8":
        return build.precision
    trained = "int8 after qat" if build.fine_tuning else "int8"
    return f"{trained}, {build.num_float_layers} of {build.num_layers} layers float"


def headers(gate: ExportGate) -> tuple[str, ...]:
    """What the columns of `table` hold."""
    threads = [f"p50 / p95 ms, {_spoken(latency.threads)}" for latency in gate.builds[0].latencies]
    kept = ("AUROC change", "largest change", "decisions turned", "heatmap agreement", "ECE")
    return ("build", "computing ms, 1 thread", *threads, "file MB", "memory MB", *kept)


def table(gate: ExportGate) -> list[tuple[str, ...]]:
    """One row a build, in the order of `headers`; changes are against fp32."""
    return [_row(build) for build in gate.builds]


def _row(build: BuildMeasurement) -> tuple[str, ...]:
    times = [f"{one.p50_ms:.2f} / {one.p95_ms:.2f}" for one in build.latencies]
    flipped = build.flipped_decisions
    return (
        named(build),
        f"{build.compute_ms:.2f}",
        *times,
        f"{build.file_bytes / MEGABYTE:.2f}",
        wording.UNKNOWN if build.memory_mb is None else f"{build.memory_mb:.0f}",
        _figure(build.auroc_difference, ".4f", is_signed=True),
        f"{build.largest_probability_change:.4f}",
        wording.UNKNOWN if flipped is None else f"{flipped:.2%}",
        _figure(build.heatmap_agreement, ".3f"),
        wording.UNKNOWN if build.ece is None else wording.number(build.ece),
    )


def _figure(interval: Interval | None, form: str, is_signed: bool = False) -> str:
    """'-0.0012 (-0.0031 to +0.0007)'."""
    if interval is None:
        return wording.UNKNOWN
    if interval.low is None or interval.high is None:
        return _number(interval.value, form, is_signed)
    value, low, high = (_number(one, form, is_signed) for one in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _number(value: float, form: str, is_signed: bool) -> str:
    text = format(value, f"+{form}" if is_signed else form)
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", wording.MINUS)


def _spoken(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
