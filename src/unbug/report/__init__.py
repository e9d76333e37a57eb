"""Renderers of what was found: JSON, terminal lines, one static page."""

from unbug.report.document import findings_json, findings_schema
from unbug.report.lines import terminal

__all__ = ["findings_json", "findings_schema", "terminal"]
