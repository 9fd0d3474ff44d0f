"""Draws docs/gallery/*.png: the top of the report of each sweep of conf/experiment/.

python docs/make_gallery.py [FOLDER] [NAME ...]

Runs what is not there yet as FOLDER/NAME (outputs/gallery by default), all of it in about an hour on two cores; a sweep
that was stopped goes on. The pictures take Debian's packages chromium and chromium-driver.
"""

import contextlib
import subprocess
import sys
from pathlib import Path

from make_screenshots import DOCS, N_COLOURS, Pictures
from PIL import Image

EXPERIMENTS = sorted(path.stem for path in (DOCS.parent / "conf" / "experiment").glob("*.yaml"))
WIDTH, HEIGHT = 1440, 1326  # the summary and the first plot
SHOWN_SIZE = (960, 884)


def main() -> None:
    """Runs the sweeps and takes their pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/gallery")
    (DOCS / "gallery").mkdir(exist_ok=True)
    with contextlib.closing(Pictures(into=None)) as pictures:
        for name in sys.argv[2:] or EXPERIMENTS:
            words = ["--multirun", f"experiment={name}", f"hydra.sweep.dir={folder / name}"]
            subprocess.run([sys.executable, "-m", "hposweep", *words], check=True)
            report = (folder / name / "report.html").resolve()
            top = pictures.taken(report.as_uri(), "light", WIDTH).convert("RGB").crop((0, 0, WIDTH, HEIGHT))
            # By coverage, since a winner's few orange points would not count among the greys.
            small = top.resize(SHOWN_SIZE, Image.Resampling.LANCZOS).quantize(N_COLOURS, Image.Quantize.MAXCOVERAGE)
            small.save(DOCS / "gallery" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
