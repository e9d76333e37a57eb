"""Windows, rules, causes: recorded data in, findings out. Never torch."""

import unbug.detect.rules  # noqa: F401 - loading it binds its name here, which the function below then takes
from unbug.detect.declaration import Rule
from unbug.detect.discovery import rule, rules
from unbug.detect.engine import Diagnosis, Fault, RuleSettings, diagnose
from unbug.detect.rates import Rate, rate
from unbug.detect.recorded import windows
from unbug.detect.sources import Excerpt
from unbug.detect.suppression import Suppression
from unbug.detect.vocabulary import classes
from unbug.detect.window import Window

__all__ = [
    "Diagnosis",
    "Excerpt",
    "Fault",
    "Rate",
    "Rule",
    "RuleSettings",
    "Suppression",
    "Window",
    "classes",
    "diagnose",
    "rate",
    "rule",
    "rules",
    "windows",
]
