"""Audit diffusion models for social bias.

```python
import audit

spec = audit.load("benchmarks.yaml")
print(len(audit.plan(spec.benchmarks["portraits"]).requests), "images an arm")
run = audit.run(spec, "portraits", device="cpu")  # again: goes on, or only reads
run.frame()  # every number, a row each, as a pandas frame
run.images, run.labels  # pandas frames too, one row an image and one a reading
run.figures()["shares-gender"]  # a notebook draws it; and `run` alone shows the verdict
audit.compare("runs/portraits-0123abcd", run).frame("comparisons")
```
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "load": "audit.spec.spec",
    "plan": "audit.spec.planning",
    "run": "audit.runner",
    "classify": "audit.runner",
    "measure": "audit.runner",
    "Run": "audit.notebook",
    "compare": "audit.comparison.side_by_side",
}
"""For users; inside the package every name is imported from where it is defined."""

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: `import audit` itself loads nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
