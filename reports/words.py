"""How numbers and names are written: one format for each kind of number, in every rendering."""

import re
from datetime import UTC, datetime

from audit.storage.results import Entry

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
MINUS = "\N{MINUS SIGN}"
PERCENT = "\N{NO-BREAK SPACE}%"


def inert(text: str) -> str:
    """Return text that no spreadsheet takes for a formula.

    >>> inert("=cmd()"), inert("steer")
    ("'=cmd()", 'steer')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def visible(text: object) -> str:
    r"""Return text with control and direction characters written out, so that they act nowhere.

    >>> visible("a\x1b[31mb")
    'a⟨U+001B⟩[31mb'
    """
    return _CONTROL.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(text))


def clipped(text: object, limit: int = 160) -> str:
    """Return visible text, cut to `limit` characters with the number left out.

    >>> clipped("aaaaaa", 4)
    'aaaa… (2 more characters)'
    """
    whole = visible(text)
    left = len(whole) - limit
    return whole if left <= 0 else f"{whole[:limit]}… ({left:,} more characters)"


def is_share(metric: str) -> bool:
    """Say whether a metric is a fraction that people read as a percentage."""
    return metric.split("@")[0].startswith(("share", "detection", "obeyed"))


def scaled(value: float, metric: str = "") -> float:
    """Return a value as it is shown: KID is so small that it is shown times 1000.

    >>> scaled(0.0016, "kid@portraits-clip"), scaled(0.25, "share")
    (1.6, 0.25)
    """
    return 1000 * value if metric.startswith("kid") else value


def number(value: float | None, metric: str = "") -> str:
    r"""Write a value of a metric; an en dash is no number, and the reason stands beside it.

    >>> number(0.2958, "share"), number(-0.0361, "fd2_debiased"), number(None)
    ('29.6\xa0%', '−0.036', 'not measured')
    >>> number(43.2178, "fid@inception-v3")
    '43.22'
    """
    if value is None:
        return "not measured"
    value = scaled(value, metric)
    if is_share(metric):
        text = f"{100 * value:.1f}{PERCENT}"
    elif abs(value) >= 1000:
        text = f"{value:,.0f}"
    elif abs(value) >= 10:
        text = f"{value:.2f}"
    elif value and abs(value) < 0.0005:
        text = f"{value:.1e}"
    else:
        text = f"{value:.3f}"
    return text.replace("-", MINUS) if value < 0 else text


def bounds(low: float | None, high: float | None, metric: str = "") -> str:
    r"""Write an interval; empty where there is none.

    >>> bounds(0.25, 0.33, "share")
    '[25.0, 33.0\xa0%]'
    """
    if low is None or high is None:
        return ""
    if is_share(metric):
        return f"[{number(low, metric).removesuffix(PERCENT)}, {number(high, metric)}]"
    return f"[{number(low, metric)}, {number(high, metric)}]"


def measured(entry: Entry | None) -> str:
    """Write a measurement with its interval, or why there is none."""
    if entry is None:
        return "not measured"
    if entry.value is None:
        return unmeasured(entry.method)
    interval = bounds(entry.ci_low, entry.ci_high, entry.metric)
    return f"{number(entry.value, entry.metric)} {interval}".strip()


def unmeasured(method: str) -> str:
    """Write why there is no number.

    >>> unmeasured("no pair"), unmeasured("not corrected: no error card")
    ('not measured: no pair', 'not corrected: no error card')
    """
    return method if method.startswith("not ") else f"not measured: {method}"


def change(value: float | None, metric: str = "") -> str:
    """Write a difference with its sign; shares differ in percentage points."""
    if value is None:
        return "not measured"
    if is_share(metric):
        return f"{100 * value:+.1f} points".replace("-", MINUS)
    return f"{scaled(value, metric):+.3f}".replace("-", MINUS)


def p_value(p: float | None) -> str:
    """Write a p-value.

    >>> p_value(0.00004), p_value(0.0312)
    ('< 0.001', '0.031')
    """
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def listed(names: object) -> str:
    """Join names as a sentence does.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    parts = [str(name) for name in names]  # type: ignore[attr-defined]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def dated(written: object) -> str:
    """Return an ISO date as people write it, or as it stands.

    >>> dated("2026-11-20T10:00:00Z"), dated("later")
    ('20 November 2026, 10:00 UTC', 'later')
    """
    try:
        moment = datetime.fromisoformat(str(written)).astimezone(UTC)
    except ValueError:
        return str(written or "")
    return f"{moment:%-d %B %Y, %H:%M} UTC"
