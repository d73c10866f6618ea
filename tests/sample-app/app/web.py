"""The web application: pages, health, items in PostgreSQL, jobs through Redis, an echoing WebSocket."""

import asyncio
import json
import os
import time
import uuid
from collections import Counter, defaultdict
from contextlib import asynccontextmanager

import asyncpg
import redis.asyncio
from fastapi import FastAPI, HTTPException, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from . import config


class State:
    """What the requests share; the server reads the first three to know when it may stop."""

    draining = False
    in_flight = 0
    last_request = 0.0

    database: asyncpg.Pool | None = None
    queue: redis.asyncio.Redis | None = None


state = State()


@asynccontextmanager
async def connections(_: FastAPI):
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


app = FastAPI(title="sample", lifespan=connections, docs_url=None, redoc_url=None, openapi_url=None)


# --- pages and health ---


@app.get("/")
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
        return facts
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>sample</title>"
        f"<h1>It works</h1><p>Version {config.VERSION}, answered by {config.HOSTNAME}.</p></html>"
    )


@app.get("/health")
async def health():
    """Live: says nothing about the stores, whose outage no restart of this process cures."""
    if config.FAULT == "unhealthy":
        return JSONResponse({"status": "unhealthy", "version": config.VERSION}, 503)
    return {"status": "healthy", "version": config.VERSION}


@app.get("/health/ready")
async def ready():
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
    return JSONResponse(answer, 200 if status == "ready" else 503)


# --- items: PostgreSQL ---


class NewItem(BaseModel):
    name: str = Field(min_length=1, max_length=200)


def database() -> asyncpg.Pool:
    if not state.database:
        raise HTTPException(503, "DATABASE_URL is not set")
    return state.database


@app.get("/api/items")
async def items():
    rows = await database().fetch("SELECT id, name, created FROM items ORDER BY id DESC LIMIT 100")
    return [dict(row) for row in rows]


@app.post("/api/items", status_code=201)
async def create_item(item: NewItem):
    row = await database().fetchrow("INSERT INTO items (name) VALUES ($1) RETURNING id, name, created", item.name)
    return dict(row)


# --- jobs: through Redis to a worker, which writes the result to PostgreSQL ---


class NewJob(BaseModel):
    text: str = Field(max_length=10_000)


@app.post("/api/jobs", status_code=202)
async def create_job(job: NewJob):
    if not state.queue:
        raise HTTPException(503, "REDIS_URL is not set")
    job_id = str(uuid.uuid4())
    await state.queue.lpush(config.JOBS, json.dumps({"id": job_id, "text": job.text}))
    return {"id": job_id}


@app.get("/api/jobs/{job_id}")
async def job_result(job_id: uuid.UUID):
    row = await database().fetchrow("SELECT words, worker FROM job_results WHERE id = $1", job_id)
    return {"id": job_id, "status": "done", **row} if row else {"id": job_id, "status": "pending"}


# --- for tests of proxies: long answers, WebSockets ---


@app.get("/api/slow")
async def slow(seconds: float = 1.0):
    seconds = min(max(seconds, 0.0), 300.0)
    await asyncio.sleep(seconds)
    return {"slept": seconds, "replica": config.HOSTNAME}


@app.websocket("/ws")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


# --- metrics ---

BUCKETS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
requests: Counter[tuple[str, str, int]] = Counter()  # method, route, status
durations: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
seconds_spent: defaultdict[str, float] = defaultdict(float)


def resident() -> int:
    """Bytes of memory, as client libraries of Prometheus count them (proc(5), statm)."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@app.get("/metrics")
async def metrics():
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
            route = getattr(scope.get("route"), "path", "other")
            requests[scope["method"], route, status] += 1
            durations[route][sum(took > bound for bound in BUCKETS)] += 1
            seconds_spent[route] += took


app.add_middleware(Observe)
