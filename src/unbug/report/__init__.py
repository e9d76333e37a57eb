"""Renderers of what was found: JSON, terminal lines, one static page."""

from typing import TYPE_CHECKING, Any

from unbug.report.columns import wrapped
from unbug.report.document import findings_json, findings_schema
from unbug.report.language import language_of
from unbug.report.lines import terminal
from unbug.report.live_line import live_line, live_remark
from unbug.report.words import sentence

if TYPE_CHECKING:
    from unbug.detect import Diagnosis
    from unbug.report.fragment import findings_fragment, run_fragment
    from unbug.report.fragment_table import table_fragment, tables_fragment
    from unbug.store.contract import Reader

__all__ = [
    "findings_fragment",
    "findings_json",
    "findings_schema",
    "html",
    "language_of",
    "live_line",
    "live_remark",
    "run_fragment",
    "sentence",
    "table_fragment",
    "tables_fragment",
    "terminal",
    "wrapped",
]


def html(reader: "Reader", diagnosis: "Diagnosis", *, language: str | None = None) -> str:
    """The report as one HTML file: no script, nothing fetched, light and dark, printable.

    Args:
        language: Of the findings, `en` or `zh`; left out, what the environment says.
    """
    from unbug.report.page import html as page  # numpy and the drawing are for those who want the page

    return page(reader, diagnosis, language=language)


def __getattr__(name: str) -> Any:
    if name in ("findings_fragment", "run_fragment"):
        from unbug.report import fragment  # for notebooks; loads the drawing, as `html` does

        return getattr(fragment, name)
    if name in ("table_fragment", "tables_fragment"):
        from unbug.report import fragment_table

        return getattr(fragment_table, name)
    raise AttributeError(f"module 'unbug.report' has no attribute {name!r}")
