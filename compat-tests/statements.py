"""What a client of PostgreSQL says: the text of each statement that it runs, whichever way it sends it."""

from __future__ import annotations

# The version of the protocol in the message that begins a session; what comes before it asks for encryption.
STARTUP = (3 << 16).to_bytes(4, "big")


class Frontend:
    """Reads one connection's messages: PostgreSQL's documentation, chapter Frontend/Backend Protocol."""

    def __init__(self) -> None:
        self.rest = b""
        self.has_begun = False
        self.prepared: dict[bytes, str] = {}

    def hear(self, data: bytes) -> list[str]:
        """The statements that these bytes have run: Query, or Bind to one that was named by Parse."""
        self.rest += data
        run = []
        while (message := self._message()) is not None:
            kind, body = message
            match kind:
                case b"Q":
                    run.append(body.rstrip(b"\0").decode())
                case b"P":
                    name, text, _ = body.split(b"\0", 2)
                    self.prepared[name] = text.decode()
                case b"B":
                    _, name, _ = body.split(b"\0", 2)
                    run.append(self.prepared[name])
        return run

    def _message(self) -> tuple[bytes, bytes] | None:
        """Its type, which the first ones do not have, and what it holds; none if a part is still to come."""
        head = 1 if self.has_begun else 0
        size = head + int.from_bytes(self.rest[head : head + 4], "big")
        if len(self.rest) < max(size, head + 4):
            return None
        kind, body, self.rest = self.rest[:head], self.rest[head + 4 : size], self.rest[size:]
        self.has_begun = self.has_begun or body.startswith(STARTUP)
        return kind, body
