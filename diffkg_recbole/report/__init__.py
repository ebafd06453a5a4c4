"""Leaderboards: run folders in; terminal table, Markdown, CSV, JSON, LaTeX and HTML out."""

from diffkg_recbole.report.analysis import Report, SectionReport, build_report
from diffkg_recbole.report.terminal import print_report
from diffkg_recbole.report.write import write_report

__all__ = ["Report", "SectionReport", "build_report", "print_report", "write_report"]
