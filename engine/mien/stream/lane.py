"""A short queue between two threads that either end can close."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Lane(Generic[T]):
    """Hands items from one thread to another in order, at most `room` of them waiting.

    What happens when there is no room: the giver waits; with `newest`, the oldest waiting item is dropped instead.
    """

    def __init__(self, room: int, newest: bool = False) -> None:
        self.dropped = 0
        self._waiting: deque[T] = deque()
        self._room = room
        self._newest = newest
        self._ended = False
        self._abandoned = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Gives an item; False when the taker has gone, and with it every reason to make more."""
        with self._changed:
            if self._newest and len(self._waiting) == self._room:
                self._waiting.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._abandoned or len(self._waiting) < self._room)
            if not self._abandoned:
                self._waiting.append(item)
                self._changed.notify_all()
            return not self._abandoned

    def end(self) -> None:
        """The giver's last word: the taker still gets what waits, then its loop ends."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """The taker's last word: what waits is dropped, and nothing more is accepted."""
        with self._changed:
            self._abandoned = True
            self._waiting.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._abandoned or bool(self._waiting))
                if not self._waiting:
                    return
                item = self._waiting.popleft()
                self._changed.notify_all()
            yield item
            # Waiting for the next item must not keep this one alive.
            del item
