"""Contract tests of plugins, for third parties as for our own: call one from a test.

Each builds its plugin by a function without arguments, more than once, and raises
`AssertionError` with a sentence that says which promise is broken.
"""

from audit.testing.functions import check_metric, check_ranking, step_codes
from audit.testing.models import check_mitigation, check_model
from audit.testing.probes import check_encoder, check_probe

__all__ = [
    "check_encoder",
    "check_metric",
    "check_mitigation",
    "check_model",
    "check_probe",
    "check_ranking",
    "step_codes",
]
