"""Takes jobs from Redis, one at a time, and writes their results to PostgreSQL."""

import asyncio
import json
import signal
import uuid

import asyncpg
import redis.asyncio

from . import config


async def work() -> None:
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)

    queue = redis.asyncio.from_url(config.REDIS_URL, decode_responses=True)
    database = await asyncpg.create_pool(config.DATABASE_URL, min_size=0, max_size=1)
    config.log(f"worker {config.HOSTNAME} version {config.VERSION}: waiting for jobs")

    # A job taken is finished before stopping; the wait is short so that stopping is too.
    while not stop.is_set():
        text = None
        try:
            if taken := await queue.brpop([config.JOBS], timeout=1):
                text = taken[1]
                job = json.loads(text)
                await database.execute(
                    "INSERT INTO job_results (id, words, worker) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                    uuid.UUID(job["id"]), len(job["text"].split()), config.HOSTNAME,
                )
        except (OSError, redis.RedisError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            config.log(f"will try again: {type(error).__name__}: {error}")
            if text:
                await put_back(queue, text)
            await asyncio.sleep(1)

    await database.close()
    await queue.aclose()
    config.log("worker stopped")


async def put_back(queue, text: str) -> None:
    try:
        await queue.rpush(config.JOBS, text)
    except (OSError, redis.RedisError):
        config.log(f"lost a job: {text[:60]}")


if __name__ == "__main__":
    config.exit_if_told_to()
    if not (config.REDIS_URL and config.DATABASE_URL):
        raise SystemExit("worker: REDIS_URL and DATABASE_URL must be set")
    asyncio.run(work())
