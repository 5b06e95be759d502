"""Connection: messages over a socket, never blocking unless asked to. Light zone: no torch.

Blender's process only calls what returns at once. The worker sends under a lock of its own and waits where it must.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque

from .protocol import MAX_PAYLOAD_BYTES, PREFIX, Message, decode, encode, lengths

_SEND_BYTES = 1 << 18


class Connection:
    """One end of the wire.

    Attributes:
        closed: whether the peer is gone, or ``close`` was called.

    Args:
        sock: connected socket; closed together with this.
        max_payload: bytes of arrays that one message may bring; whoever sends more is not our peer.
    """

    def __init__(self, sock: socket.socket, max_payload: int = MAX_PAYLOAD_BYTES):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.closed = False
        self._socket = sock
        self._max_payload = max_payload
        self._outgoing: deque[memoryview] = deque()
        # What is being received: first a prefix, then the header and payload whose lengths it gives.
        self._buffer, self._filled = bytearray(PREFIX.size), 0
        self._header_size: int | None = None

    @property
    def pending(self) -> bool:
        """Whether bytes wait to be sent."""
        return bool(self._outgoing)

    def send(self, message: Message) -> None:
        """Queues a message and sends what the system takes at once; ``flush`` sends the rest.

        Raises:
            KmmError: ``message_too_large``.
        """
        self._outgoing.append(memoryview(encode(message)))
        self.flush()

    def flush(self) -> None:
        """Sends what the system takes at once."""
        while self._outgoing and not self.closed:
            first = self._outgoing[0]
            try:
                sent = self._socket.send(first[:_SEND_BYTES])
            except BlockingIOError:
                return
            except OSError:
                self.closed = True
                return
            self._outgoing[0] = first[sent:]
            if sent == len(first):
                self._outgoing.popleft()

    def receive(self) -> Message | None:
        """The next message that has arrived whole, or None.

        Raises:
            KmmError: ``worker_garbage`` or ``worker_version``.
        """
        while self._fill():
            if self._header_size is None:
                self._header_size, payload = lengths(self._buffer, self._max_payload)
                self._buffer, self._filled = bytearray(self._header_size + payload), 0
            else:
                whole = memoryview(self._buffer)
                message = decode(whole[: self._header_size], whole[self._header_size :])
                self._buffer, self._filled, self._header_size = bytearray(PREFIX.size), 0, None
                return message
        return None

    def wait(self, seconds: float) -> None:
        """Waits until there is something to receive, or room to send what is pending, or the time is over."""
        if self.closed:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(
                self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if self.pending else 0)
            )
            selector.select(seconds)

    def wait_sent(self) -> None:
        """Blocks until all is sent or the peer is gone. For the worker only."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_WRITE)
            while self.pending and not self.closed:
                selector.select(1.0)
                self.flush()

    def close(self) -> None:
        """Ends the connection; the peer sees its end."""
        self.closed = True
        self._socket.close()

    def _fill(self) -> bool:
        """Receives into the buffer; returns whether it is full."""
        while self._filled < len(self._buffer) and not self.closed:
            try:
                received = self._socket.recv_into(memoryview(self._buffer)[self._filled :])
            except BlockingIOError:
                return False
            except OSError:
                received = 0
            self._filled += received
            if not received:
                self.closed = True
        return self._filled == len(self._buffer)
