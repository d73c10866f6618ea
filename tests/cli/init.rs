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

/// A folder, and what the file that becomes of it has to hold.
type Shape = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

/// Row by row: every kind of file that is looked at, alone, and every framework.
const SHAPES: &[Shape] = &[
    ("Dockerfile, nothing said", &[("Dockerfile", "FROM scratch\n")], &["build       = \".\"", "port        = 8000"]),
    (
        "Dockerfile, EXPOSE",
        &[("Dockerfile", "FROM a AS b\nEXPOSE 1\nFROM c\nEXPOSE 9000/tcp 9001\n")],
        &["port        = 9000"],
    ),
    ("Dockerfile, CMD", &[("Dockerfile", "CMD [\"x\", \"--bind\", \"0.0.0.0:7000\"]\n")], &["port        = 7000"]),
    ("requirements.txt", &[("requirements.txt", "requests\n")], &["port        = 8000"]),
    (
        "requirements.txt, needs",
        &[("requirements.txt", "psycopg[binary]>=3\nRQ==1 # queue\n-r more.txt\ngit+https://x/y\n")],
        &["preset = \"postgres:17\"", "preset = \"redis:7\""],
    ),
    (
        "pyproject.toml",
        &[("pyproject.toml", "[project]\ndependencies = [\"flask\", \"asyncpg\"]\n")],
        &["port        = 5000", "postgres:17"],
    ),
    (
        "pyproject.toml, Poetry",
        &[("pyproject.toml", "[tool.poetry.dependencies]\npython = \"^3.12\"\nfastapi = \"*\"\nredis = \"5\"\n")],
        &["port        = 8000", "redis:7"],
    ),
    (
        "pyproject.toml, broken",
        &[("pyproject.toml", "[project\n"), ("Dockerfile", "EXPOSE 80\n")],
        &["port        = 80"],
    ),
    (
        "package.json, needs",
        &[("package.json", "{\"dependencies\": {\"pg\": \"8\", \"bullmq\": \"5\", \"express\": \"5\"}}")],
        &["postgres:17", "redis:7", "3000"],
    ),
    ("package.json", &[("package.json", "{\"name\": \"x\"}")], &["port        = 3000"]),
    ("package.json, broken", &[("package.json", "{"), ("Dockerfile", "EXPOSE 80\n")], &["port        = 80"]),
    (
        "Procfile, PORT",
        &[("Procfile", "web: gunicorn app:app -b 0.0.0.0:$PORT\n")],
        &["\"0.0.0.0:8000\"", "port        = 8000"],
    ),
    (
        "Procfile, all kinds",
        &[(
            "Procfile",
            "# processes\nweb: serve --port 4000\nURGENT_jobs: work -q urgent\nrelease: migrate\npostgres: pg\nodd name: x\n",
        )],
        &["port        = 4000", "[services.urgent-jobs]", "pre_deploy  = [\"migrate\"]"],
    ),
    (
        "compose.yaml",
        &[(
            "compose.yaml",
            "services:\n    web:\n        image: ghcr.io/acme/web:2\n        ports: [\"80:8080\"]\n    cache:\n        image: redis:alpine\n",
        )],
        &["image       = \"ghcr.io/acme/web:2\"", "port        = 8080", "redis:7"],
    ),
    (
        "compose.yml",
        &[(
            "compose.yml",
            "name: x\nservices:\n  api:\n    build:\n      context: ./api\n    ports:\n      - target: 80\n      - \"127.0.0.1:9000:9001/tcp\"\n",
        )],
        &["build       = \"./api\"", "port        = 9001"],
    ),
    (
        "docker-compose.yml, a PostgreSQL that is too old",
        &[("docker-compose.yml", "services:\n  db:\n    image: postgres:9.6\n  app:\n    build: .\n")],
        &["preset = \"postgres:17\""],
    ),
    (
        "docker-compose.yaml, tags without a version",
        &[(
            "docker-compose.yaml",
            "services:\n  db:\n    image: docker.io/library/postgres:bookworm@sha256:0\n  r:\n    image: redis\n  app:\n    image: \"app:${TAG}\"\n",
        )],
        &["preset = \"postgres:17\"", "preset = \"redis:7\""],
    ),
    (
        "docker-compose.yml, versions that are known",
        &[(
            "docker-compose.yml",
            "services:\n  db:\n    image: postgres:14-alpine\n  r:\n    image: redis:7.2-alpine\n  app:\n    build: .\n",
        )],
        &["preset = \"postgres:14-alpine\"", "preset = \"redis:7.2-alpine\""],
    ),
    (
        "FastAPI",
        &[("requirements.txt", "fastapi\n"), ("main.py", "@app.get(\"/healthz\")\n@app.websocket(\"/ws\")\n")],
        &["8000", "\"/healthz\"", "websocket = true"],
    ),
    (
        "Flask",
        &[("requirements.txt", "Flask==3\n"), ("app.py", "@app.route('/health')\n")],
        &["5000", "healthcheck = \"/health\""],
    ),
    (
        "Django",
        &[("requirements.txt", "django\n"), ("manage.py", "")],
        &["8000", "[\"python\", \"manage.py\", \"migrate\", \"--noinput\"]"],
    ),
    ("Streamlit", &[("requirements.txt", "streamlit\n")], &["8501", "\"/_stcore/health\"", "websocket = true"]),
    (
        "Alembic",
        &[("requirements.txt", "fastapi\nalembic\n"), ("alembic.ini", "")],
        &["pre_deploy  = [\"alembic\", \"upgrade\", \"head\"]"],
    ),
    (
        "NestJS",
        &[("package.json", "{\"dependencies\": {\"@nestjs/core\": \"11\"}}"), ("src/main.ts", "")],
        &["port        = 3000"],
    ),
    (
        "Next.js",
        &[("package.json", "{\"dependencies\": {\"next\": \"15\", \"react\": \"19\"}}")],
        &["port        = 3000"],
    ),
    (
        "Fastify",
        &[("package.json", "{\"dependencies\": {\"fastify\": \"5\"}}"), ("server.js", "app.get('/up')\n")],
        &["3000", "\"/up\""],
    ),
    (
        "Express",
        &[("package.json", "{\"dependencies\": {\"express\": \"5\", \"socket.io\": \"4\"}}")],
        &["3000", "websocket = true"],
    ),
    ("Koa", &[("package.json", "{\"dependencies\": {\"koa\": \"3\"}}")], &["port        = 3000"]),
    (
        "sources alone",
        &[("app/main.py", "import fastapi\nfrom redis.asyncio import Redis\n")],
        &["port        = 8000", "redis:7"],
    ),
    (
        "sources that import what they need",
        &[(
            "app.py",
            "from starlette.routing import WebSocketRoute\nif URL:\n    import asyncpg\nroutes = [WebSocketRoute(\"/ws\", echo)]\n",
        )],
        &["port        = 8000", "postgres:", "websocket = true"],
    ),
];

#[test]
fn every_shape_becomes_a_file_that_is_right() {
    for (shape, files, expected) in SHAPES {
        for users in ["development", "1000", "10000"] {
            let case = files.iter().fold(Case::new(), |case, (path, text)| case.file(&format!("shop/{path}"), text));
            let args = ["init", "--file", "shop/stack.toml", "--yes", "--users", users];
            let outcome = case.run(&args);
            assert_eq!(outcome.code, Some(0), "{shape}: {}", outcome.stderr);
            let text = std::fs::read_to_string(case.path().join("shop/stack.toml")).expect("the file");
            for line in *expected {
                assert!(text.contains(line), "{shape}: no `{line}` in\n{text}");
            }
            let outcome = case.run(&["check", "--file", "shop/stack.toml", "--json"]);
            let said: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
            let problems = said["problems"].as_array().expect("a list").iter();
            let rules: Vec<&str> = problems.filter_map(|p| p["rule"].as_str()).collect();
            // A program that does not read files has its URL in a variable, which the file says.
            assert!(rules.iter().all(|rule| *rule == "secret-in-environment"), "{shape}: {}", outcome.stdout);
            assert_eq!(outcome.code, Some(0), "{shape}");
        }
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
