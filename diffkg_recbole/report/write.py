"""Write a report's files, each of them whole or not at all."""

from __future__ import annotations

from pathlib import Path

from diffkg_recbole.errors import UserError
from diffkg_recbole.files import replacing
from diffkg_recbole.report.analysis import Report
from diffkg_recbole.report.csv_json import render_csv, render_json
from diffkg_recbole.report.html import render_html
from diffkg_recbole.report.latex import render_latex
from diffkg_recbole.report.markdown import render_markdown

FORMATS = {
    "html": ("report.html", render_html),
    "md": ("report.md", render_markdown),
    "csv": ("report.csv", render_csv),
    "json": ("report.json", render_json),
    "tex": ("report.tex", render_latex),
}
"""Format -> file name and renderer."""


def write_report(report: Report, out: str | Path) -> list[Path]:
    """Write every format into the folder ``out``, which is made if need be.

    Everything is rendered before the first file is written; existing reports are replaced.

    Returns:
        the files.

    Raises:
        UserError: if the folder cannot be made or written to.
    """
    out = Path(out)
    rendered = [(name, render(report)) for name, render in FORMATS.values()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in rendered:
            with replacing(out / name) as part:
                part.write_bytes(text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UserError(f"cannot write the report to {out}: {error.strerror or error}") from error
    return [out / name for name, _ in rendered]
