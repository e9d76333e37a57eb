"""What may not be written: secrets are taken out of every text before it reaches the run folder."""

from unbug.privacy.batches import BatchPolicy
from unbug.privacy.environment import allowed_environment
from unbug.privacy.names import is_secret_name
from unbug.privacy.redactor import REDACTED, Redactor
from unbug.privacy.stream import LineRedactor

__all__ = ["REDACTED", "BatchPolicy", "LineRedactor", "Redactor", "allowed_environment", "is_secret_name"]
