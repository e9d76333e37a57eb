"""Windows, rules, causes: recorded data in, findings out. Never torch."""

from unbug.detect.discovery import rule, rules
from unbug.detect.engine import Diagnosis, Fault, RuleSettings, diagnose
from unbug.detect.rule import Rule
from unbug.detect.vocabulary import classes
from unbug.detect.window import Window

__all__ = ["Diagnosis", "Fault", "Rule", "RuleSettings", "Window", "classes", "diagnose", "rule", "rules"]
