"""Serves the web application, and stops without dropping a request."""

import os
import signal
import time

import uvicorn

from . import config

# A quiet spell this long means that whoever sends requests has stopped doing so. No open connection
# does not: a proxy that has not reloaded yet opens the next one.
QUIET = float(os.environ.get("DRAIN_SECONDS", "0.5"))
# In all, at most this long; the engine's stop timeout must be longer.
GRACE = float(os.environ.get("GRACE_SECONDS", "25"))


class Server(uvicorn.Server):
    """Uvicorn closes its listener and its idle connections as soon as it gets SIGTERM, so a proxy that
    is just then sending a request is cut off. This one goes on serving until nobody asks any more."""

    term_at: float | None = None

    def handle_exit(self, sig, frame):
        if sig == signal.SIGTERM and self.term_at is None:
            self.term_at = time.monotonic()
            web.state.draining = True
            config.log("SIGTERM: draining")
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:  # ten times a second
        if self.term_at is not None:
            now = time.monotonic()
            quiet = now - max(self.term_at, web.state.last_request) > QUIET
            if (quiet and web.state.in_flight == 0) or now - self.term_at > GRACE:
                self.should_exit = True
        return await super().on_tick(counter)


if __name__ == "__main__":
    config.exit_if_told_to()
    from . import web

    Server(
        uvicorn.Config(
            web.app,
            host="0.0.0.0",
            port=int(os.environ.get("PORT", "8000")),
            log_level=os.environ.get("LOG_LEVEL", "info"),
            access_log=False,
            proxy_headers=True,
            forwarded_allow_ips="*",  # only the proxy of the stack can reach this port
            # Longer than Nginx keeps idle connections to us (60 s): Nginx is the one to close them.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
        )
    ).run()
    config.log("stopped")
