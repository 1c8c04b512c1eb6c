"""The probes in tables: what is known of their errors, and what each of them reads."""

from reports.source import Source
from reports.tables import Cell, Row, Table, count_cell, entry_cell, table
from reports.words import number

STATISTICS = {
    "raw": "same class",
    "cohen_kappa": "Cohen's κ",
    "fleiss_kappa": "Fleiss' κ",
    "krippendorff_alpha": "Krippendorff's α",
}


def probes(source: Source) -> Table | None:
    """Return what is known of each probe."""
    rows: list[Row] = [
        [
            p.name,
            p.attribute,
            Cell(number(p.accuracy, "share") if p.accuracy is not None else "unknown", p.accuracy),
            p.data or "–",
            p.correction,
            p.licence or "not stated",
        ]
        for p in source.results.probes
    ]
    if not rows:
        return None
    return table(
        "The classifiers that read the images. Known errors stand below.",
        ["Probe", "Attribute", "Accuracy", "Known from", "Correction of shares", "Licence"],
        rows,
    )


def agreement(source: Source) -> Table | None:
    """Return how far probes agree; agreement is not accuracy."""
    rows: list[Row] = [
        [a.attribute, a.arm, " and ".join(a.probes), STATISTICS.get(a.statistic, a.statistic),
         Cell(number(a.value), a.value), count_cell(a.n)]
        for a in source.results.agreement
        if a.prompt is None and a.class_ is None
    ]  # fmt: skip
    if not rows:
        return None
    return table(
        "Agreement of probes on the same images. Agreement is not accuracy: probes that learnt "
        "from the same data err alike.",
        ["Attribute", "Arm", "Probes", "Statistic", "Value", "Images"],
        rows,
    )


def readings(source: Source) -> Table | None:
    """Return the discrepancy by every probe, raw and corrected, side by side."""
    rows: list[Row] = []
    for attribute in source.attributes:
        for probe in source.probes(attribute):
            for arm in source.arms:
                raw = source.one("fd", arm, attribute, None, probe)
                corrected = source.one("fd_corrected", arm, attribute, None, probe)
                people = source.one("fd_ppi", arm, attribute, None, probe)
                if raw is not None:
                    right = entry_cell(corrected) if corrected else Cell("no error card")
                    seen = entry_cell(people) if people else Cell("–")
                    rows.append([attribute, arm, probe, entry_cell(raw), right, seen])
    if not rows:
        return None
    return table(
        "Fairness discrepancy by every probe: as read, corrected for its known errors, and where "
        "people labelled a random sample, by prediction-powered inference.",
        ["Attribute", "Arm", "Probe", "As read", "Corrected", "With human labels"],
        rows,
        sortable=True,
    )


def shares_read(source: Source) -> Table | None:
    """Return the share of each class by every probe, as read and corrected, side by side."""
    probes = dict.fromkeys(p for a in source.attributes for p in source.probes(a))
    forms = {"share": "", "share_corrected": ", corrected", "share_ppi": ", with human labels"}
    held = {(m.metric, m.probe) for m in source.results.measurements if m.value is not None}
    columns = [(metric, probe) for probe in probes for metric in forms if (metric, probe) in held]
    rows: list[Row] = [
        [
            f"{attribute}: {class_}",
            arm,
            *(
                entry_cell(e) if e else Cell("–")
                for e in (source.one(m, arm, attribute, class_, p) for m, p in columns)
            ),
        ]
        for attribute in source.attributes
        for class_ in source.classes(attribute)
        for arm in source.arms
    ]
    if not columns or not rows:
        return None
    return table(
        "Share of each class by every probe, as read and corrected for its known errors. Where "
        "probes differ by more than their intervals, the answer hangs on who reads.",
        ["Class", "Arm", *(f"{probe}{forms[metric]}" for metric, probe in columns)],
        rows,
        sortable=True,
        stacked=True,
    )
