"""Imports point one way: down the layers, in no circle, never to a package's `__init__`."""

import ast
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("audit", "models", "probes", "reports")

WORDS = """
    audit.errors audit.types audit.progress audit.interrupts audit.redaction audit.placeholders
    audit.images.batches audit.images.memory
"""
FOUNDATION = """
    audit.registry audit.storage.* audit.statistics.* audit.metrics.* audit.rankings.*
    audit.testing.* audit.spec.document audit.spec.schema audit.measuring.error_cards
    audit.features.sae audit.features.sae_training audit.features.sparse_linear
    audit.features.h_classifier audit.features.recording audit.features.latent_edit
    audit.features.dissection audit.features.dose_response audit.features.evidence
    audit.features.reading audit.features.codes
    audit.features.calibration audit.features.asyrp audit.features.stock_pipeline
    audit.features.prompt_embeddings audit.features.semantic_guidance
    audit.features.concept_edit audit.images.assignment audit.images.image_text
    audit.images.overlap audit.images.rewriting audit.images.wording probes.network
"""
SPEC = "audit.spec.*"
STEPS = "audit.*"
"""All that is named nowhere else."""
LAYERS = [
    [WORDS],
    [FOUNDATION],
    # Plugins and reports never know each other: what they need of one another, they are given.
    [
        "models.diffusion models.loading models.pipeline models.hookpoints",
        "probes.*",
        "audit.encoders.*",
        "audit.mitigations.*",
        "reports.*",
    ],
    [SPEC],
    [STEPS],
    ["audit.runner audit.job audit.arms audit.conclusion audit.comparison.* audit.doctor"],
    ["audit.commands.* audit.console audit.cli audit.__main__", "models.portraits.*"],
]
"""From the bottom; a layer is made of groups, and a group of patterns. The first match counts."""


def name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


MODULES = {
    name(path): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name != "__init__.py"
}
INITS = {
    name(path.parent) for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")
}


def place(module):
    """Return the layer and the group of a module."""
    for rank, groups in enumerate(LAYERS):
        for group in groups:
            if group != STEPS and any(fnmatch(module, pattern) for pattern in group.split()):
                return rank, group
    return LAYERS.index([STEPS]), STEPS


def imported(path, *, lazily=True):
    """Yield our own modules that a file imports; those inside functions too, if `lazily`."""
    waiting = list(ast.parse(path.read_text("utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef) and not lazily:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES or full in INITS else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


@cache
def ours(path, **how):
    return {m for m in imported(path, **how) if m.split(".")[0] in PACKAGES}


def test_imports_point_down():
    wrong = []
    for module, path in MODULES.items():
        rank, group = place(module)
        for other in ours(path):
            below, its_group = place(other)
            if below > rank or (below == rank and its_group != group):
                wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_nothing_imports_the_init_of_a_package():
    wrong = {module: ours(path) & INITS for module, path in MODULES.items()}
    assert {module: found for module, found in wrong.items() if found} == {}


def test_no_module_imports_itself_round_a_circle():
    graph = {module: ours(path, lazily=False) for module, path in MODULES.items()}
    done, trail = set(), []

    def visit(module):
        assert module not in trail, f"{' -> '.join(trail[trail.index(module) :])} -> {module}"
        if module in done:
            return
        trail.append(module)
        for other in sorted(graph.get(module, ())):
            visit(other)
        done.add(trail.pop())

    for module in sorted(graph):
        visit(module)


def test_the_test_sees_an_import_that_points_up(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("def f():\n    from audit.spec.spec import load\n\nimport audit.types\n")
    assert ours(path) == {"audit.spec.spec", "audit.types"}
    assert ours(path, lazily=False) == {"audit.types"}
    assert place("audit.spec.spec")[0] > place("probes.dlib")[0] > place("audit.types")[0]
