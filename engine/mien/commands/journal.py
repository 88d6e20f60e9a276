"""Which results in a folder are done, and with what: one line of JSON for each, added when its result is whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mien.errors import InputError
from mien.files import output_error


class Journal:
    """The file ``path``; the last line about a result counts. Lines that cannot be read (a torn last one) count not."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where there is such a file and it cannot be read."""
        self.path = path
        self._records: dict[str, object] = {}
        self._torn = False
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"The record of what is done, {path}, cannot be read: {error.strerror}.") from error
        self._torn = bool(data) and not data.endswith(b"\n")
        for line in data.splitlines():
            self._read(line)

    def has(self, output: str, record: object) -> bool:
        """Whether the last word about that result is this record (anything that JSON can hold)."""
        return output in self._records and self._records[output] == json.loads(json.dumps(record))

    def add(self, output: str, record: object) -> None:
        """Records a result that is whole. Raises DiskFull, OutputError."""
        line = json.dumps({"output": output, "record": record}).encode() + b"\n"
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                # One write of one line: whoever else adds to it, or is killed here, leaves other lines whole.
                done = os.write(file, b"\n" + line if self._torn else line)
            finally:
                os.close(file)
        except OSError as error:
            raise output_error(self.path, error) from error
        self._torn = done < len(line)
        self._records[output] = json.loads(line)["record"]

    def _read(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return
        if isinstance(entry, dict) and isinstance(entry.get("output"), str):
            self._records[entry["output"]] = entry.get("record")
