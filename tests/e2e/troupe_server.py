# Starts and stops a troupe server for a test, and finds its address.
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 180
STOP_SECONDS_MAX = 60


class troupe_server:
    """A running `troupe serve`; use it as a context manager."""

    def __init__(self, *flags):
        model = os.environ.get("TROUPE_MODEL", str(ROOT / "models" / "tales"))
        self.command = [os.environ["TROUPE_PROGRAM"], "serve", "--model", model, "--port", "0", *flags]
        self.log = tempfile.NamedTemporaryFile("w+", prefix="troupe_e2e_", suffix=".log", delete=False)
        self.url = None
        self.ready = threading.Event()
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, errors="replace")
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()

    def read_log(self):
        for line in self.process.stderr:
            self.log.write(line)
            self.log.flush()
            found = re.search(r"ready (http://\S+)", line)
            if found and not self.url:
                self.url = found[1].rstrip("/")
                self.ready.set()
        self.ready.set()

    def __enter__(self):
        self.ready.wait(START_SECONDS_MAX)
        if not self.url:
            self.process.kill()
            raise RuntimeError(f"{' '.join(self.command)} did not become ready:\n{self.read_tail()}")
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Asks politely; returns the exit status, negative when it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(5)
        return self.process.returncode

    def alive(self):
        return self.process.poll() is None

    def read_tail(self):
        self.log.flush()
        return Path(self.log.name).read_text(errors="replace")[-4000:]


class remote_server:
    """A server that somebody else runs, named by TROUPE_URL."""

    def __init__(self, url):
        self.url = url.rstrip("/")

    def alive(self):
        return True


def wait_until(condition, seconds=20.0, every=0.1):
    """Polls until the condition holds; returns its last value."""
    deadline = time.monotonic() + seconds
    value = condition()
    while not value and time.monotonic() < deadline:
        time.sleep(every)
        value = condition()
    return value
