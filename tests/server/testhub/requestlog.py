"""The request log: in memory for /_test/log, and as JSON lines in a file."""

import json
import threading
import time


class RequestLog:
    def __init__(self, path=None):
        self._condition = threading.Condition()
        self._records = []
        self._open = 0
        self._stream = open(path, "a", encoding="utf-8") if path else None

    def begin(self, request, connection):
        record = {
            "time": round(time.time(), 6), "connection": connection, "host": request.host,
            "method": request.method, "path": request.target, "status": None,
            "range": request.headers.get("Range"),
            "authorization": request.headers.get("Authorization"),
            "user_agent": request.headers.get("User-Agent"), "bytes": 0, "faults": [],
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "seconds": None}
        with self._condition:
            self._records.append(record)
            self._open += 1
        return record

    def end(self, record):
        with self._condition:
            record["seconds"] = round(time.time() - record["time"], 6)
            self._open -= 1
            if self._stream:
                self._stream.write(json.dumps(record) + "\n")
                self._stream.flush()
            self._condition.notify_all()

    def clear(self):
        with self._condition:
            self._records = []

    def snapshot(self, patience=1.0):
        """All records. A client that has its last byte may ask before the server has written
        down that it sent it, so requests under way get a moment to end."""
        with self._condition:
            self._condition.wait_for(lambda: self._open == 0, patience)
            return [dict(record) for record in self._records]
