import pathlib
import sys

if sys.argv[1:] != ["init"]:
    sys.exit(2)
pathlib.Path("/app/data/tables").write_text("made")
