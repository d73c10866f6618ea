"""The web application: pages, health, items in PostgreSQL, jobs through Redis, an echoing WebSocket."""

import asyncio
import json
import os
import time
import uuid
from collections import Counter, defaultdict
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from . import config

# Imported where they are used: they take longer to load than the rest of the app.
if config.DATABASE_URL:
    import asyncpg
if config.REDIS_URL:
    import redis.asyncio


class State:
    """What the requests share; the server reads the first three to know when it may stop."""

    draining = False
    in_flight = 0
    last_request = 0.0

    database: "asyncpg.Pool | None" = None
    queue: "redis.asyncio.Redis | None" = None


state = State()


@asynccontextmanager
async def connections(_: Starlette):
    # Neither connects here: the app starts, and is live, while its stores are down.
    if config.DATABASE_URL:
        state.database = await asyncpg.create_pool(
            config.DATABASE_URL, min_size=0, max_size=5, timeout=5, command_timeout=30
        )
    if config.REDIS_URL:
        state.queue = redis.asyncio.from_url(config.REDIS_URL, socket_connect_timeout=5, decode_responses=True)
    yield
    if state.queue:
        await state.queue.aclose()
    if state.database:
        await state.database.close()


class Json(JSONResponse):
    """Moments and identifiers, too, as a database has them."""

    def render(self, content) -> bytes:
        def plain(value):
            return value.isoformat() if hasattr(value, "isoformat") else str(value)

        return json.dumps(content, default=plain, separators=(",", ":")).encode()


class Named(Route):
    """Leaves its path in the scope, for the counters."""

    def matches(self, scope):
        match, child = super().matches(scope)
        return match, {**child, "route": self}


routes: list[Route | WebSocketRoute] = []


def route(method: str, path: str):
    def add(endpoint):
        routes.append(Named(path, endpoint, methods=[method]))
        return endpoint

    return add


async def text_of(request: Request, field: str, least: int, most: int) -> str:
    """A field of the JSON that was sent."""
    try:
        text = (await request.json())[field]
    except (ValueError, LookupError, TypeError):
        text = None
    if not isinstance(text, str) or not least <= len(text) <= most:
        raise HTTPException(422, f"`{field}` must be text of {least} to {most} characters")
    return text


# --- pages and health ---


@route("GET", "/")
async def home(request: Request):
    facts = {
        "version": config.VERSION,
        "replica": config.HOSTNAME,
        "client": request.client.host if request.client else None,
        "scheme": request.url.scheme,
        "host": request.headers.get("host"),
        "key_id": config.KEY_ID,
    }
    if "text/html" not in request.headers.get("accept", ""):
        return Json(facts)
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>sample</title>"
        f"<h1>It works</h1><p>Version {config.VERSION}, answered by {config.HOSTNAME}.</p></html>"
    )


@route("GET", "/health")
async def health(_: Request):
    """Live: says nothing about the stores, whose outage no restart of this process cures."""
    if config.FAULT == "unhealthy":
        return Json({"status": "unhealthy", "version": config.VERSION}, 503)
    return Json({"status": "healthy", "version": config.VERSION})


@route("GET", "/health/ready")
async def ready(_: Request):
    """Ready: may be sent traffic."""

    async def check(ask) -> str:
        try:
            await asyncio.wait_for(ask(), 2)
            return "ok"
        except Exception as error:  # a health check answers, whatever broke
            config.log(f"not ready: {type(error).__name__}: {error}")
            return type(error).__name__

    asked = {}
    if state.database:
        asked["postgres"] = check(lambda: state.database.fetchval("SELECT 1"))
    if state.queue:
        asked["redis"] = check(state.queue.ping)
    checks = dict(zip(asked, await asyncio.gather(*asked.values())))

    if config.FAULT == "unhealthy":
        status = "unhealthy"
    elif state.draining:
        status = "draining"
    elif all(result == "ok" for result in checks.values()):
        status = "ready"
    else:
        status = "not ready"
    answer = {"status": status, "version": config.VERSION, "checks": checks}
    return Json(answer, 200 if status == "ready" else 503)


# --- items: PostgreSQL ---


def database() -> "asyncpg.Pool":
    if not state.database:
        raise HTTPException(503, "DATABASE_URL is not set")
    return state.database


@route("GET", "/api/items")
async def items(_: Request):
    rows = await database().fetch("SELECT id, name, created FROM items ORDER BY id DESC LIMIT 100")
    return Json([dict(row) for row in rows])


@route("POST", "/api/items")
async def create_item(request: Request):
    name = await text_of(request, "name", 1, 200)
    row = await database().fetchrow("INSERT INTO items (name) VALUES ($1) RETURNING id, name, created", name)
    return Json(dict(row), 201)


# --- jobs: through Redis to a worker, which writes the result to PostgreSQL ---


@route("POST", "/api/jobs")
async def create_job(request: Request):
    text = await text_of(request, "text", 0, 10_000)
    if not state.queue:
        raise HTTPException(503, "REDIS_URL is not set")
    job_id = str(uuid.uuid4())
    await state.queue.lpush(config.JOBS, json.dumps({"id": job_id, "text": text}))
    return Json({"id": job_id}, 202)


@route("GET", "/api/jobs/{job_id:uuid}")
async def job_result(request: Request):
    job_id = request.path_params["job_id"]
    row = await database().fetchrow("SELECT words, worker FROM job_results WHERE id = $1", job_id)
    return Json({"id": job_id, "status": "done", **row} if row else {"id": job_id, "status": "pending"})


# --- for tests of proxies: long answers, WebSockets ---


@route("GET", "/api/slow")
async def slow(request: Request):
    try:
        seconds = min(max(float(request.query_params.get("seconds", 1)), 0.0), 300.0)
    except ValueError:
        raise HTTPException(422, "`seconds` must be a number") from None
    await asyncio.sleep(seconds)
    return Json({"slept": seconds, "replica": config.HOSTNAME})


async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


routes.append(WebSocketRoute("/ws", echo))


# --- metrics ---

BUCKETS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
requests: Counter[tuple[str, str, int]] = Counter()  # method, route, status
durations: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
seconds_spent: defaultdict[str, float] = defaultdict(float)


def resident() -> int:
    """Bytes of memory, as client libraries of Prometheus count them (proc(5), statm)."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@route("GET", "/metrics")
async def metrics(_: Request):
    lines = ["# TYPE app_info gauge", f'app_info{{version="{config.VERSION}"}} 1']
    lines += ["# TYPE process_resident_memory_bytes gauge", f"process_resident_memory_bytes {resident()}"]
    lines += ["# TYPE process_cpu_seconds_total counter", f"process_cpu_seconds_total {time.process_time():.3f}"]
    lines += ["# TYPE http_requests_in_flight gauge", f"http_requests_in_flight {state.in_flight}"]
    lines += ["# TYPE http_requests_total counter"]
    for (method, route, status), count in sorted(requests.items()):
        lines.append(f'http_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}')
    lines += ["# TYPE http_request_duration_seconds histogram"]
    for route, counts in sorted(durations.items()):
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts):
            total += count
            lines.append(f'http_request_duration_seconds_bucket{{route="{route}",le="{bound}"}} {total}')
        lines.append(f'http_request_duration_seconds_sum{{route="{route}"}} {seconds_spent[route]:.6f}')
        lines.append(f'http_request_duration_seconds_count{{route="{route}"}} {total}')
    return Response("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


class Observe:
    """Counts and times requests; while draining, asks every client to close its connection."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        status, started = 500, time.monotonic()
        state.in_flight += 1

        async def send_on(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if state.draining:
                    message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        try:
            await self.app(scope, receive, send_on)
        finally:
            state.in_flight -= 1
            state.last_request = time.monotonic()
            took = state.last_request - started
            path = getattr(scope.get("route"), "path", "other")
            requests[scope["method"], path, status] += 1
            durations[path][sum(took > bound for bound in BUCKETS)] += 1
            seconds_spent[path] += took


async def refused(_: Request, error: HTTPException):
    return Json({"detail": error.detail}, error.status_code)


app = Starlette(
    routes=routes,
    lifespan=connections,
    middleware=[Middleware(Observe)],
    exception_handlers={HTTPException: refused},
)
