"""How often the input gate errs: false and missed refusals with exact 95 % intervals, milliseconds, bytes.

python benchmarks/input_gate.py make OUT.onnx                 makes the gate anew (about two minutes of one core)
python benchmarks/input_gate.py measure [--gate G] [--real-xrays FOLDER] [--images N]

`make src/pocketcxr/runtime/input-gate.onnx` made the file that is packed into bundles. Real X-rays and scikit-image's
sample pictures are only ever measured on. Every number comes from phantoms of other seeds than the gate was made with.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import binomtest

from pocketcxr.domain.errors import ImageRefusedError
from pocketcxr.domain.prediction import Refusal
from pocketcxr.domain.study import ViewPosition
from pocketcxr.imaging.dicom_facts import NOTHING_KNOWN
from pocketcxr.imaging.load import load
from pocketcxr.imaging.radiograph import Radiograph
from pocketcxr.phantom.handling import inverted, screen_photograph
from pocketcxr.phantom.strokes import Pixels
from pocketcxr.recipes.input_gate import GateConfig, make_gate
from pocketcxr.recipes.input_gate_pictures import draw_chests, picture
from pocketcxr.runtime.input_gate import FRONTAL, KINDS, Gate, check, facts_of_source, open_gate, packaged_gate

SEED = 900
SIDES = {64: 1.0, 128: 1.0, 256: 0.5, 512: 0.2, 1024: 0.1}
"""Sides of plain phantoms, and the share of --images drawn at each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", help="measure, if none is given")
    commands.add_parser("make").add_argument("out", type=Path)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--gate", type=Path)
    measuring.add_argument("--real-xrays", type=Path)
    measuring.add_argument("--images", type=int, default=400)
    options = parser.parse_args(sys.argv[1:] or ["measure"])
    if options.command == "make":
        began = time.process_time()
        make_gate(GateConfig(), options.out)
        took = time.process_time() - began
        print(f"{options.out}: {options.out.stat().st_size:,} bytes, {took:.0f} s of processor time")
        return
    data = packaged_gate() if options.gate is None else options.gate.read_bytes()
    gate = open_gate(data, "benchmark")
    print(f"gate: {len(data):,} bytes, least probability of a frontal chest {gate.facts.least_frontal:.4f}")
    phantoms(gate, options.images)
    sample_pictures(gate)
    if options.real_xrays is not None:
        real_xrays(gate, options.real_xrays)
    speed(gate)


def phantoms(gate: Gate, images: int) -> None:
    """Phantoms of unseen seeds, as they are at every size and handled in every way."""
    for side, share in SIDES.items():
        chests = draw_chests(max(10, round(images * share)), SEED + side, side).pixels
        report(f"phantoms as drawn, {side} px", codes(gate, chests), FRONTAL)
        if side >= 256:
            rng = np.random.default_rng(SEED)
            shot = [screen_photograph(pixels, rng) for pixels in chests]
            report(f"the same photographed from a screen, {side} px: warned", warned(gate, shot), "warned")
            report(f"phantoms as drawn, {side} px: no warning", warned(gate, chests), "none")
    rng = np.random.default_rng(SEED)
    chests = draw_chests(images, SEED)
    for kind in KINDS:
        for side in (128, 256):
            num = 2 * images if kind == FRONTAL else images
            shown = (picture(kind, chests, rng, side) for _ in range(num))
            report(f"handled phantoms, {side} px: {kind}", codes(gate, shown), kind)


def sample_pictures(gate: Gate) -> None:
    """scikit-image's sample pictures: none is a chest X-ray."""
    import skimage

    found, by_gray = {}, {}
    for path in sorted((Path(skimage.__file__).parent / "data").iterdir()):
        if path.suffix not in {".png", ".jpg"}:
            continue
        try:
            radiograph = load(path)
        except ImageRefusedError as error:
            found[path.name] = by_gray[path.name] = error.code.value
            continue
        answer = check(gate, radiograph, facts_of_source(radiograph))
        found[path.name] = answer.code.value if isinstance(answer, Refusal) else FRONTAL
        by_gray[path.name] = codes(gate, [radiograph.image])[0]
    for what, answers in (("", found), (", colours not looked at", by_gray)):
        is_refused = ["refused" if code != FRONTAL else code for code in answers.values()]
        report(f"scikit-image's PNG and JPEG files{what}: refused", is_refused, "refused")
        print("   passed:", [name for name, code in answers.items() if code == FRONTAL])


def real_xrays(gate: Gate, root: Path) -> None:
    """Real chest X-rays: all must pass, and what is done to them must be found."""
    folders = {"nih14_hires512": "*.jpg", "covid_chestxray_256px": "*.jpg", "nih14_64px": "*.png"}
    for name, pattern in folders.items():
        files = sorted((root / name).rglob(pattern))
        pixels = [load(file).image for file in files]
        found = codes(gate, pixels)
        report(f"{name}: passed", found, FRONTAL)
        print("   refused:", [(f.name, code) for f, code in zip(files, found, strict=True) if code != FRONTAL])
        print("   warned:", Counter(warned(gate, pixels)))
        report(f"{name}, inverted", codes(gate, map(inverted, pixels)), "inverted")
        for turns in (1, 2, 3):
            report(f"{name}, turned by {90 * turns}", codes(gate, (np.rot90(p, turns) for p in pixels)), "rotated")
        report(f"{name}, left half", codes(gate, (p[:, : p.shape[1] // 2] for p in pixels)), "heavily-cropped")
        report(
            f"{name}, a quarter",
            codes(gate, (p[: p.shape[0] // 2, : p.shape[1] // 2] for p in pixels)),
            "heavily-cropped",
        )
    for file in sorted((root / "dicom").glob("*.dcm")):
        radiograph = load(file)
        answer = check(gate, radiograph, facts_of_source(radiograph))
        pixels_alone = codes(gate, [radiograph.image])[0]
        said = answer.code.value if isinstance(answer, Refusal) else "passed"
        print(f"{file.name}: {said}; by its pixels alone {pixels_alone}")


def speed(gate: Gate) -> None:
    """Milliseconds of the whole check, one thread."""
    for shape in ((256, 256), (1024, 1024), (2140, 1760)):
        (chest,) = draw_chests(1, SEED, 256).pixels
        pixels = np.asarray(Image.fromarray(chest).resize((shape[1], shape[0])))
        seconds = []
        for _ in range(30):
            began = time.process_time()
            check(gate, _radiograph(pixels), NOTHING_KNOWN)
            seconds.append(time.process_time() - began)
        print(f"{shape[1]} x {shape[0]}: median {1e3 * np.median(seconds):.1f} ms of processor time")


def codes(gate: Gate, pictures: Iterable[Pixels]) -> list[str]:
    """What the gate says of each picture: a refusal's code, or frontal."""
    answers = (check(gate, _radiograph(pixels), NOTHING_KNOWN) for pixels in pictures)
    return [answer.code.value if isinstance(answer, Refusal) else FRONTAL for answer in answers]


def warned(gate: Gate, pictures: Iterable[Pixels]) -> list[str]:
    """For each picture "warned", "none", or "refused"."""
    answers = (check(gate, _radiograph(pixels), NOTHING_KNOWN) for pixels in pictures)
    return ["refused" if isinstance(answer, Refusal) else "warned" if answer else "none" for answer in answers]


def report(what: str, found: list[str], wanted: str) -> None:
    """Prints how many were answered as wanted, how many passed and the exact interval of what went wrong."""
    num, num_wrong = len(found), sum(one != wanted for one in found)
    num_passed = sum(one == FRONTAL for one in found)
    interval = binomtest(num_passed if wanted in KINDS[1:] else num_wrong, num).proportion_ci(method="exact")
    errors = "missed" if wanted in KINDS[1:] else "wrong"
    num_errors = num_passed if wanted in KINDS[1:] else num_wrong
    print(
        f"{what}: n {num}, {errors} {num_errors} ({num_errors / num:.2%}, {interval.low:.2%}..{interval.high:.2%}); "
        f"{dict(Counter(found).most_common(7))}",
        flush=True,
    )


def _radiograph(pixels: Pixels) -> Radiograph:
    return Radiograph(np.ascontiguousarray(pixels), "picture", "png", 8, None, ViewPosition.UNKNOWN)


if __name__ == "__main__":
    main()
