"""A pseudo-terminal, and what its screen shows. Knows the codes that rich and our own lines use, and no others."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from contextlib import suppress
from typing import Self

from rich.cells import cell_len

_CODES = re.compile(r"\x1b\[(?P<numbers>[?0-9;]*)(?P<code>[a-zA-Z])|(?P<mark>\x1b\]\d+\x07)|(?P<text>[^\x1b])")


class Screen:
    """What a terminal of `width` columns shows that got `text`. `wrapped`: lines that were longer than that."""

    def __init__(self, text: str, width: int) -> None:
        self.wrapped: list[str] = []
        self._rows, self._row, self._column, self._width = [""], 0, 0, width
        position = 0
        while position < len(text):
            found = _CODES.match(text, position)
            assert found, f"a code that this terminal does not know: {text[position : position + 9]!r}"
            position = found.end()
            if found["code"]:
                self._obey(found["code"], found["numbers"])
            elif found["text"]:
                self._put(found["text"])

    @property
    def lines(self) -> list[str]:
        return [row.rstrip() for row in self._rows if row.strip()]

    def _obey(self, code: str, numbers: str) -> None:
        match code:
            case "A":
                self._row = max(0, self._row - int(numbers or 1))
            case "K":
                assert numbers == "2"
                self._rows[self._row] = ""
            case "m" | "h" | "l":  # colours, the cursor seen or not
                pass
            case _:
                raise AssertionError(f"a code that this terminal does not know: {numbers}{code}")

    def _put(self, character: str) -> None:
        match character:
            case "\r":
                self._column = 0
                return
            case "\n":
                self._row += 1
                self._rows += [""] * (self._row + 1 - len(self._rows))
                return
        if self._column + cell_len(character) > self._width:
            self.wrapped.append(self._rows[self._row])
            self._put("\r")
            self._put("\n")
        row = self._rows[self._row].ljust(self._column)
        self._rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
        self._column += 1


class Terminal:
    """`path`: what a process opens; one that leads a session gets it as the terminal that Ctrl+C is pressed at."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._keys, self.descriptor = pty.openpty()
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        settings = termios.tcgetattr(self.descriptor)
        settings[3] |= termios.NOFLSH  # else Ctrl+C takes away what is not read yet, and a screen would lack it
        termios.tcsetattr(self.descriptor, termios.TCSANOW, settings)
        self.path = os.ttyname(self.descriptor)
        self._got, self._news, self._marks = bytearray(), threading.Condition(), 0
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def press_ctrl_c(self) -> None:
        """And see that the terminal has shown it."""
        shown = self._got.count(b"^C")
        os.write(self._keys, b"\x03")
        with self._news:
            assert self._news.wait_for(lambda: self._got.count(b"^C") > shown, 20)

    def screen(self) -> Screen:
        """With all that was written so far, as long as this process has it open."""
        self._marks += 1
        mark = b"\x1b]%d\x07" % self._marks  # which no terminal shows
        with suppress(OSError):  # the process that it belonged to has ended
            os.write(self.descriptor, mark)
            with self._news:
                assert self._news.wait_for(lambda: mark in self._got, 20)
        return Screen(self.text, self.width)

    @property
    def text(self) -> str:
        return self._got.decode(errors="replace")

    def _read(self) -> None:
        with suppress(OSError):
            while some := os.read(self._keys, 65536):
                with self._news:
                    self._got += some
                    self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self.descriptor)  # which ends the reading
        self._reader.join(20)
        os.close(self._keys)
