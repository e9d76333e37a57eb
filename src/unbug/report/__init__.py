"""Renderers of what was found: JSON, terminal lines, one static page."""

from typing import TYPE_CHECKING

from unbug.report.document import findings_json, findings_schema
from unbug.report.lines import terminal

if TYPE_CHECKING:
    from unbug.detect import Diagnosis
    from unbug.store.contract import Reader

__all__ = ["findings_json", "findings_schema", "html", "terminal"]


def html(reader: "Reader", diagnosis: "Diagnosis") -> str:
    """The report as one HTML file: no script, nothing fetched, light and dark, printable."""
    from unbug.report.page import html as page  # numpy and the drawing are for those who want the page

    return page(reader, diagnosis)
