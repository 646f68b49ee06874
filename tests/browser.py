"""A real browser, driven over its DevTools protocol: what a page does, asks for, and looks like.

https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import itertools
import shutil
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run")
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-extensions", "--mute-audio")


class Tab:
    """One page. `requests`: addresses that it asked for; `told`: what it logged, exceptions and refusals among it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.requests: list[str] = []
        self.told: list[str] = []
        self.dialogs = 0

    async def listen(self) -> None:
        async for message in self._socket:
            heard = message.json()
            if "id" in heard:
                self._waiting.pop(heard["id"]).set_result(heard)
            else:
                self._note(heard["method"], heard["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                self.told.append(str(params["exceptionDetails"].get("exception", {}).get("description")))
            case "Runtime.consoleAPICalled" | "Log.entryAdded":
                self.told.append(str(params.get("entry", params.get("args"))))
            case "Page.javascriptDialogOpening":
                self.dialogs += 1

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._waiting[number] = answered = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        heard: dict[str, Any] = await answered
        assert "result" in heard, heard
        result: dict[str, Any] = heard["result"]
        return result

    async def open(self, address: str) -> None:
        """Go there, and wait until the page says that it is ready."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.send("Page.navigate", url=address)
        await self.until("document.documentElement?.dataset.ready !== undefined")

    async def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it is."""
        done = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def until(self, condition: str) -> None:
        for _ in range(2000):
            if await self.run(f"Boolean({condition})"):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"never: {condition}; {self.told}")

    async def press(self, *keys: str) -> None:
        """Keys by their names, as a person types them."""
        for key in keys:
            text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
            await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            await self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def screenshot(self) -> bytes:
        """A PNG of what is seen."""
        return base64.b64decode((await self.send("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def browsing(profile: Path, width: int = 1280, height: int = 900) -> AsyncIterator[Tab]:
    """A tab of a browser of its own, whose settings are below `profile`."""
    assert BINARY
    command = [BINARY, *_FLAGS, *_QUIET, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
    process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
    try:
        async with aiohttp.ClientSession() as session:
            address = f"http://127.0.0.1:{await _port(profile)}/json/list"
            async with session.get(address) as answer:
                page = next(each for each in await answer.json() if each["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                listening = asyncio.create_task(tab.listen())
                yield tab
                listening.cancel()
    finally:
        process.terminate()
        await process.wait()


async def _port(profile: Path) -> int:
    file = profile / "DevToolsActivePort"
    for _ in range(2000):
        if file.exists() and (text := file.read_text()):
            return int(text.split()[0])
        await asyncio.sleep(0.01)
    raise AssertionError("the browser does not start")
