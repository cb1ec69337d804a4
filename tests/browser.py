"""A browser without a screen that opens a report from disk, offline, and says what it finds there."""

from __future__ import annotations

import base64
import hashlib
import html as html_text
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
assert BROWSER or os.environ.get("CI") != "1", "CI installs chromium, so that nothing is skipped there"
in_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr", "--v=0",
    "--proxy-server=127.0.0.1:9",
]  # fmt: skip
# An outer page that holds the report in a frame, first wide, then as narrow as a phone.
OUTER = """<!DOCTYPE html><title>probe</title><iframe id="f" src="probed.html" width="1400" height="900"></iframe>
<pre id="found"></pre><script>
const frame = document.getElementById("f");
const narrow = () => {
  const page = frame.contentDocument, wide = [];
  for (const one of page.querySelectorAll("body *")) {
    const inScroll = one.closest(".scroll, nav, pre, svg, .hidden");
    if (!inScroll && one.getBoundingClientRect().right > 390.5) wide.push(one.outerHTML.slice(0, 120));
  }
  return { width: page.documentElement.scrollWidth, wide };
};
frame.addEventListener("load", async () => {
  const found = await frame.contentWindow.probe();
  frame.width = "390";
  await new Promise(done => setTimeout(done, 200));
  found.narrow = narrow();
  document.getElementById("found").textContent = JSON.stringify(found);
});
</script>"""


def write_report(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The files of a report in a folder; the path of its page."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "index.html"


def browse(page: Path, *flags: str) -> tuple[str, list[str]]:
    """What the browser prints, and the messages on its console."""
    profile = page.parent / f"profile-{len(list(page.parent.iterdir()))}"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def probed(page: Path, scripts: list[str], *flags: str) -> Any:
    """What ``probe()``, which one of the scripts defines, finds in the report, and how it stands at 390 pixels. The
    report keeps its Content-Security-Policy, to which the hashes of these scripts are added."""
    html = page.read_text(encoding="utf-8")
    hashes = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]
    html = html.replace("script-src ", "script-src " + "".join(f"'sha256-{one}' " for one in hashes), 1)
    html = html.replace("</body>", "".join(f"<script>{one}</script>" for one in scripts) + "</body>")
    page.with_name("probed.html").write_text(html, encoding="utf-8")
    outer = page.with_name("outer.html")
    outer.write_text(OUTER, encoding="utf-8")
    dom, console = browse(outer, "--dump-dom", "--allow-file-access-from-files", "--virtual-time-budget=30000", *flags)
    said = html_text.unescape(dom.partition('<pre id="found">')[2].partition("</pre>")[0])
    assert said, f"the probe did not end: {console}"
    return {**json.loads(said), "console": console}
