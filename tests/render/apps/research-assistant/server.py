"""A FastAPI application with what its guide's commands ask for."""

import pathlib

import fastapi

from report import report

app = fastapi.FastAPI()


@app.get("/api/health")
def health():
    return {"status": "healthy", "tables": pathlib.Path("/app/data/tables").read_text()}


@app.get("/report")
def told():
    return report("research-assistant", "/app/data", ["db", "app"])
