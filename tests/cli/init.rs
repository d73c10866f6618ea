//! `init`

use crate::harness::Case;

#[test]
fn templates_write_valid_files() {
    for (template, summary) in [
        ("minimal", "stack.toml is valid: 1 service, 1 route at https://localhost\n"),
        ("python-web", "stack.toml is valid: 4 services, 2 routes at https://localhost\n"),
    ] {
        let case = Case::new();
        case.snapshot(&format!("init-{template}"), &["init", "--template", template, "--yes"]);
        let outcome = case.run(&["check"]);
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), summary, ""));
    }
    for template in ["storm", "sum", "aigov", "ai-search", "research-assistant"] {
        for users in ["development", "1000", "10000"] {
            let case = Case::new();
            let outcome = case.run(&["init", "--template", template, "--users", users, "--yes", "--quiet"]);
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{template}");
            assert_eq!(case.run(&["check", "--quiet"]).code, Some(0), "{template} for {users}");
        }
    }
}

/// A folder of each shape becomes a file that is right, and that says what was found.
#[test]
fn folders_are_recognised() {
    let fastapi = "from fastapi import FastAPI\napp = FastAPI()\n@app.get(\"/health\")\ndef health(): ...\n";
    let shapes: &[(&str, &[(&str, &str)])] = &[
        ("dockerfile", &[("Dockerfile", "FROM golang AS build\nFROM scratch\nEXPOSE 9000/tcp\nCMD [\"/app\"]\n")]),
        (
            "fastapi",
            &[
                ("Dockerfile", "FROM python:3.12\nCMD [\"uvicorn\", \"main:app\", \"--port\", \"8080\"]\n"),
                ("requirements.txt", "fastapi==0.115\nuvicorn[standard]\nasyncpg>=0.29\nredis\n# a comment\n"),
                ("main.py", fastapi),
                ("alembic.ini", ""),
            ],
        ),
        (
            "flask-procfile",
            &[
                ("requirements.txt", "Flask\ngunicorn\npsycopg2-binary\n"),
                (
                    "Procfile",
                    "web: gunicorn app:app --bind 0.0.0.0:$PORT\nworker: python worker.py\nrelease: flask db upgrade\nclock: sh -c 'x && y'\n",
                ),
                ("app.py", "import os\nurl = open(os.environ['DATABASE_URL_FILE']).read()\n"),
            ],
        ),
        (
            "django",
            &[
                ("Dockerfile", "FROM python:3.12\n"),
                ("pyproject.toml", "[project]\nname = \"x\"\ndependencies = [\"Django>=5\", \"psycopg[binary]\"]\n"),
                ("manage.py", ""),
            ],
        ),
        ("streamlit", &[("Dockerfile", "FROM python\n"), ("requirements.txt", "streamlit\ncelery\n")]),
        (
            "express",
            &[
                ("Dockerfile", "FROM node:22\nEXPOSE 3000\n"),
                ("package.json", "{\"dependencies\": {\"express\": \"^4\", \"pg\": \"^8\", \"ws\": \"^8\"}}"),
                ("server.js", "app.get('/healthz', ok)\n"),
            ],
        ),
        (
            "compose",
            &[(
                "docker-compose.yml",
                "version: '3.8'\nservices:\n  db:\n    image: postgres:13\n    ports:\n      - \"5432:5432\"\n  app:\n    build: .\n    \
                 ports:\n      - \"8000:8000\"\n  worker:\n    build: .\n    command: celery -A app worker\n  nginx:\n    image: nginx:alpine\n",
            )],
        ),
    ];
    for (shape, files) in shapes {
        let mut case = Case::new();
        for (path, text) in *files {
            case = case.file(&format!("shop/{path}"), text);
        }
        case.snapshot(
            &format!("init-shape-{shape}"),
            &["init", "--file", "shop/stack.toml", "--yes", "--users", "1000"],
        );
        let outcome = case.run(&["check", "--file", "shop/stack.toml"]);
        assert_eq!(outcome.code, Some(0), "{shape}: {}", outcome.stderr);
    }
}

#[test]
fn nothing_is_overwritten() {
    let case = Case::new().file("stack.toml", "mine");
    case.snapshot("init-there-already", &["init", "--template", "minimal", "--yes"]);
    assert_eq!(std::fs::read_to_string(case.path().join("stack.toml")).ok().as_deref(), Some("mine"));
    let case = Case::new();
    std::os::unix::fs::symlink("nowhere", case.path().join("stack.toml")).expect("a link");
    assert_eq!(case.run(&["init", "--template", "minimal", "--yes"]).code, Some(2));
}

#[test]
fn nobody_can_be_asked() {
    let case = Case::new();
    case.snapshot("init-no-terminal", &["init"]);
    case.snapshot("init-no-consent", &["init", "--template", "minimal"]);
    case.snapshot("init-unknown-template", &["init", "--template", "django"]);
    case.snapshot("init-no-folder", &["init", "--template", "minimal", "--yes", "--file", "no/where.toml"]);
}
