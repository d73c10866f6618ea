"""Brings the database to the newest schema. Safe to run again, and by several at once."""

import asyncio

import asyncpg

from . import config

# Add at the end; never change what has run somewhere.
STEPS = [
    "CREATE TABLE items (id bigserial PRIMARY KEY, name text NOT NULL)",
    "CREATE TABLE job_results (id uuid PRIMARY KEY, words integer NOT NULL, worker text NOT NULL)",
    "ALTER TABLE items ADD COLUMN created timestamptz NOT NULL DEFAULT now()",
]


async def migrate() -> None:
    database = await asyncpg.connect(config.DATABASE_URL, timeout=10)
    # One at a time; PostgreSQL lets go by itself when we are gone.
    await database.execute("SELECT pg_advisory_lock(hashtext('migrate'))")
    await database.execute("CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY)")
    done = await database.fetchval("SELECT coalesce(max(version), 0) FROM schema_version")
    for number, step in enumerate(STEPS, 1):
        if number > done:
            async with database.transaction():
                await database.execute(step)
                await database.execute("INSERT INTO schema_version VALUES ($1)", number)
            config.log(f"migration {number}: {step}")
    config.log(f"schema is at version {len(STEPS)}")
    await database.close()


if __name__ == "__main__":
    config.exit_if_told_to()
    if config.FAULT == "migrate":
        raise SystemExit("FAULT=migrate: column \"nope\" of relation \"items\" does not exist")
    if not config.DATABASE_URL:
        raise SystemExit("migrate: DATABASE_URL must be set")
    asyncio.run(migrate())
