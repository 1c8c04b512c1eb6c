"""The page in a real browser, the network shut: it asks for nothing, it complains of nothing."""

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from report_run import colours, occupations, unconditional
from stored_run import run

from audit.comparison.side_by_side import compare
from reports.render import render

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-dev-shm-usage", "--proxy-server=127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>", "--hide-scrollbars", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
PROMPTS = {
    "a": "<script>document.title = 'owned'</script>",
    "b": "<img src=https://example.com/x.png onerror=\"document.title='owned'\">",
    "c": "صورة طبيب \u202egnp.exe",
    "d": "w" * 10_000,
}


def browse(tmp_path, html, *flags):
    """Open a page; return what Chromium printed, its log, and the requests of its network log."""
    page, log = tmp_path / "report.html", tmp_path / "net.json"
    page.write_text(html, "utf-8")
    done = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
         "--virtual-time-budget=3000", *flags, page.as_uri()],
        capture_output=True, text=True, timeout=240, check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    return done.stdout, done.stderr, requests(log)


def requests(log):
    """Return the addresses that the page asked for, from Chromium's own network log."""
    text = log.read_text("utf-8").rstrip().rstrip(",")
    try:
        found = json.loads(text)
    except ValueError:  # the browser ended before it closed the list
        found = json.loads(text + "]}")
    begun = [e["params"] for e in found["events"] if "initiator" in e.get("params", {})]
    # What the browser asks for itself, such as the time, has no page as its origin.
    urls = {str(e.get("url")) for e in begun if e["initiator"] != "not an origin"}
    return {url for url in urls if url.startswith(("http", "ws", "ftp"))}


def complaints(log):
    return [line for line in log.splitlines() if "CONSOLE" in line]


class Text(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.title, self.texts, self.tag, self.buttons = "", [], "", 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        self.buttons += tag == "button"

    def handle_data(self, data):
        if self.tag == "title" and not self.title:
            self.title = data
        self.texts.append(data)


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return render(unconditional(tmp_path_factory.mktemp("u"), images=24, picture=colours))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A comparison of two runs with hostile prompts, the second of which is worse."""
    root = tmp_path_factory.mktemp("c")
    fair = {"none": dict.fromkeys(PROMPTS.values(), ["woman", "man"] * 20)}
    skewed = {"none": dict.fromkeys(PROMPTS.values(), ["man"] * 40)}
    return compare(run(root / "two", skewed), baseline=run(root / "one", fair)).text("html")


def test_the_page_asks_for_nothing_and_complains_of_nothing(tmp_path, html):
    dom, log, asked = browse(tmp_path, html, "--dump-dom")
    assert asked == set()
    assert complaints(log) == []
    assert Text(dom).buttons > 10  # the script ran, so its hash is allowed


def test_a_comparison_asks_for_nothing_and_complains_of_nothing(tmp_path, compared):
    dom, log, asked = browse(tmp_path, compared, "--dump-dom")
    assert asked == set()
    assert complaints(log) == []
    seen = Text(dom)
    assert seen.title == "Fail: b: 2 runs"
    assert seen.buttons > 10
    assert any("document.title = 'owned'" in text for text in seen.texts)


def test_hostile_prompts_do_nothing_in_a_browser(tmp_path):
    html = render(occupations(tmp_path / "run", prompts=PROMPTS, images=4, picture=colours))
    dom, log, asked = browse(tmp_path, html, "--dump-dom")
    assert asked == set()
    assert complaints(log) == []
    seen = Text(dom)
    assert seen.title.endswith("Ten occupations, one sentence each")
    assert any("document.title = 'owned'" in text for text in seen.texts)


def test_a_script_that_is_not_ours_is_refused(tmp_path, html):
    """The test of the tests: the policy is in force and complaints are seen."""
    evil = html.replace("</footer>", "</footer><script>document.title = 'owned'</script>")
    dom, log, _ = browse(tmp_path, evil, "--dump-dom")
    assert Text(dom).title != "owned"
    assert any("Content Security Policy" in line for line in complaints(log))


def test_a_request_would_be_seen(tmp_path, html):
    """The other test of the tests: without the policy, a picture elsewhere is asked for."""
    picture = "http://example.com/x.png"
    open_to_all = html.replace("default-src", "x-default-src").replace(
        "img-src data:", "img-src *"
    )
    _, _, asked = browse(
        tmp_path, open_to_all.replace("</footer>", f'</footer><img src="{picture}">'), "--dump-dom"
    )
    assert asked == {picture}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("what", ["report", "comparison"])
def test_nothing_is_wider_than_the_window(tmp_path, html, compared, what, width, scheme):
    """Wide tables scroll in their own frames; the page itself never does, in either scheme."""
    import numpy as np
    from PIL import Image

    shot = tmp_path / "shot.png"
    dark = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
    flags = dark if scheme == "dark" else []
    shown = {"report": html, "comparison": compared}[what]
    browse(tmp_path, shown, f"--window-size={width},1400", f"--screenshot={shot}", *flags)
    pixels = np.asarray(Image.open(shot).convert("L"), float)
    assert pixels.shape == (1400, width)
    paper = pixels[-1, 0]
    assert paper > 250 if scheme == "light" else paper < 40
    assert (np.abs(pixels[:, -6:] - paper) < 3).all()  # the right margin is empty
    assert (np.abs(pixels - paper) > 60).mean() > 0.02  # and the rest is not
