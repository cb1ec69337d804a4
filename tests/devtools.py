"""A browser without a screen that is driven as a user drives it: DevTools messages over two pipes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from browser import BROWSER, FLAGS

LIMIT_SECONDS = 60


class Page:
    """An open page. ``console`` has its messages and errors, ``requested`` the address of each request."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._left, self._number, self._session = b"", 0, ""
        self.console: list[str] = []
        self.requested: list[str] = []

    def attach(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            found = self._next(end)
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]
        raise TimeoutError(method)

    def _next(self, end: float) -> Any:
        """The next message of the browser."""
        while b"\0" not in self._left:
            assert select.select([self._answers], [], [], max(0, end - time.monotonic()))[0], "the browser is silent"
            self._left += os.read(self._answers, 1 << 20)
        first, _, self._left = self._left.partition(b"\0")
        found = json.loads(first)
        self._note(found.get("method", ""), found.get("params", {}))
        return found

    def _note(self, method: str, said: Any) -> None:
        if method == "Network.requestWillBeSent":
            self.requested.append(said["request"]["url"])
        if method == "Log.entryAdded":
            self.console.append(f"{said['entry']['level']}: {said['entry']['text']} {said['entry'].get('url', '')}")
        if method == "Runtime.consoleAPICalled":
            self.console.append(f"{said['type']}: {[one.get('value', one.get('description')) for one in said['args']]}")
        if method == "Runtime.exceptionThrown":
            self.console.append(f"exception: {said['exceptionDetails']}")

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    @contextmanager
    def in_frame(self) -> Iterator[None]:
        """What is asked meanwhile is asked in the frame of the page, which is of another site."""
        end, own = time.monotonic() + LIMIT_SECONDS, self._session
        frames: list[Any] = []
        while not frames:
            assert time.monotonic() < end, "there is no frame"
            frames = [one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "iframe"]
        session = self.call("Target.attachToTarget", targetId=frames[0]["targetId"], flatten=True)["sessionId"]
        try:
            self._session = session
            for domain in ("Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
            yield
        finally:
            self._session = own

    def value(self, code: str) -> Any:
        """What JavaScript in the page gives."""
        found = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, code: str) -> None:
        """Wait until JavaScript in the page says true."""
        end = time.monotonic() + LIMIT_SECONDS
        while not self.value(code):
            assert time.monotonic() < end, f"never: {code}; console: {self.console}"
            time.sleep(0.05)

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, selector: str) -> None:
        """The mouse, on the middle of an element that can be seen there."""
        box = f"document.querySelector({json.dumps(selector)})"
        seen = self.value(f"""(one => {{
            one.scrollIntoView({{ block: "nearest", inline: "nearest" }});
            const box = one.getBoundingClientRect(), x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
            return [x, y, one.contains(document.elementFromPoint(x, y))];
        }})({box})""")
        assert seen[2], f"something covers {selector}"
        for kind in ("mousePressed", "mouseReleased"):
            held = {"button": "left", "buttons": int(kind == "mousePressed"), "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=seen[0], y=seen[1], **held)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        for kind, (x, y) in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            held = {"button": "left", "buttons": 0 if kind == "mouseReleased" else 1, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **held)

    def turn_wheel(self, x: int, y: int, by: int) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def opened_browser(profile: Path, size: tuple[int, int] = (1400, 900)) -> Iterator[Page]:
    """A blank page of a new browser, ended afterwards."""
    (first, requests), (answers, second) = os.pipe(), os.pipe()
    to_read, to_write = (fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (first, second))
    flags = ["--remote-debugging-pipe", f"--window-size={size[0]},{size[1]}", f"--user-data-dir={profile}"]
    # The browser reads from descriptor 3 and writes to 4.
    line = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'
    command = ["bash", "-c", line, str(BROWSER), *FLAGS, *flags, "about:blank"]
    log = (profile.parent / "browser.log").open("wb")
    process = subprocess.Popen(command, pass_fds=(to_read, to_write), stdout=log, stderr=log)
    for one in (first, second, to_read, to_write):
        os.close(one)
    try:
        page = Page(requests, answers)
        page.attach()
        yield page
        with suppress(OSError, AssertionError):
            page.call("Browser.close")
    finally:
        process.terminate()
        process.wait(LIMIT_SECONDS)
        log.close()
        for one in (requests, answers):
            os.close(one)
