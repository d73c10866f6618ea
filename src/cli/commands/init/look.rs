//! What a folder tells about the program in it. Pure: the files come in as texts, and every conclusion keeps its
//! reason, so that it can be shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::config::preset::POSTGRES_MAJORS;

use super::compose::{self, words};

/// What is taken where nobody says which version.
pub(super) const POSTGRES: &str = "17";

/// The same of Redis.
pub(super) const REDIS: &str = "7";

/// Files that are looked at, relative to the folder.
pub(super) const FILES: &[&str] = &[
    "Dockerfile",
    "requirements.txt",
    "pyproject.toml",
    "package.json",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "Procfile",
    "manage.py",
    "alembic.ini",
    ".env.example",
    "app.py",
    "main.py",
    "server.py",
    "wsgi.py",
    "asgi.py",
    "app/__init__.py",
    "app/__main__.py",
    "app/main.py",
    "app/web.py",
    "app/config.py",
    "src/main.py",
    "index.js",
    "server.js",
    "app.js",
    "src/index.js",
    "src/server.js",
    "src/index.ts",
    "src/server.ts",
    "src/main.ts",
];

/// What was recognised.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    /// In a few words each, with the file it is from.
    pub(super) reasons: Vec<String>,
    /// Folder with the Dockerfile, if there is one.
    pub(super) build: Option<String>,
    /// Image of the app, where a compose file runs one from a registry.
    pub(super) image: Option<String>,
    /// Where the app listens.
    pub(super) port: Option<u16>,
    /// Path that answers when it is ready.
    pub(super) health: Option<String>,
    /// What to run instead of the image's own.
    pub(super) command: Option<Vec<String>>,
    /// What prepares a release.
    pub(super) pre_deploy: Option<Vec<String>>,
    /// Other processes of the same program.
    pub(super) workers: Vec<(String, Vec<String>)>,
    /// Tag of PostgreSQL, if it needs one.
    pub(super) postgres: Option<String>,
    /// Tag of Redis, if it needs one.
    pub(super) redis: Option<String>,
    /// It reads addresses from files named by `…_FILE`.
    pub(super) reads_files: bool,
    /// It talks over WebSocket.
    pub(super) websocket: bool,
}

type Files = BTreeMap<&'static str, String>;

/// A framework we know by its package, with where it listens if nobody says otherwise.
const FRAMEWORKS: &[(&str, &str, u16)] = &[
    ("streamlit", "Streamlit", 8501),
    ("django", "Django", 8000),
    ("fastapi", "FastAPI", 8000),
    ("starlette", "Starlette", 8000),
    ("flask", "Flask", 5000),
    ("@nestjs/core", "NestJS", 3000),
    ("next", "Next.js", 3000),
    ("fastify", "Fastify", 3000),
    ("express", "Express", 3000),
    ("koa", "Koa", 3000),
];

/// Languages by the file that names their packages, and where most programs listen that need no framework.
const LANGUAGES: &[(&str, &str, u16)] =
    &[("requirements.txt", "Python", 8000), ("pyproject.toml", "Python", 8000), ("package.json", "Node.js", 3000)];

/// Looks at all files.
pub(super) fn look(files: &Files) -> Found {
    let mut found = Found::default();
    let text = |name: &str| files.get(name).map(String::as_str).unwrap_or_default();
    let packages = packages(files);
    let framework = FRAMEWORKS.iter().find(|(package, _, _)| packages.contains(*package));
    if let Some((_, name, _)) = framework {
        found.reasons.push(format!("{name}, by its packages"));
    }
    let language = LANGUAGES.iter().find(|(file, _, _)| files.contains_key(file)).filter(|_| framework.is_none());
    if let Some((file, name, _)) = language {
        found.reasons.push(format!("{name}, by its {file}"));
    }
    if files.contains_key("Dockerfile") {
        found.build = Some(".".to_owned());
        found.port = dockerfile_port(text("Dockerfile"));
        let port = found.port.map_or(String::new(), |p| format!(" with port {p}"));
        found.reasons.push(format!("a Dockerfile{port}"));
    }
    procfile(text("Procfile"), &mut found);
    for name in ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"] {
        if files.contains_key(name) {
            compose_file(name, text(name), &mut found);
            break;
        }
    }
    if let Some((_, name, port)) = framework.filter(|_| found.port.is_none()) {
        found.port = Some(*port);
        found.reasons.push(format!("port {port}, {name}'s own"));
    }
    found.port = found.port.or(language.map(|(_, _, port)| *port));
    needs(&packages, &mut found);
    migrations(files, &packages, &mut found);
    let sources: Vec<&str> = files.iter().filter(|(n, _)| is_source(n)).map(|(_, t)| t.as_str()).collect();
    found.health = health(&sources, framework.is_some_and(|(p, _, _)| *p == "streamlit"));
    if let Some(path) = &found.health {
        found.reasons.push(format!("{path} answers when it is ready, by its source"));
    }
    found.reads_files = sources.iter().any(|t| t.contains("_FILE\"") || t.contains("_FILE'"));
    found.websocket = packages.contains("streamlit")
        || ["ws", "socket.io", "channels", "flask-socketio"].iter().any(|p| packages.contains(*p))
        || sources.iter().any(|t| t.contains(".websocket(") || t.contains("WebSocketRoute("));
    found
}

fn is_source(name: &str) -> bool {
    [".py", ".js", ".ts"].iter().any(|end| name.ends_with(end))
}

/// Names of packages the program is made with, lower-case.
fn packages(files: &Files) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut requirement = |line: &str| {
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(line.len());
        out.insert(line[..end].to_ascii_lowercase().replace('_', "-"));
    };
    for line in files.get("requirements.txt").map(String::as_str).unwrap_or_default().lines() {
        requirement(line.trim());
    }
    if let Some(Ok(project)) = files.get("pyproject.toml").map(|t| t.parse::<toml::Table>()) {
        let listed = project.get("project").and_then(|p| p.get("dependencies")).and_then(|d| d.as_array());
        listed.into_iter().flatten().filter_map(|d| d.as_str()).for_each(&mut requirement);
        let poetry = project.get("tool").and_then(|t| t.get("poetry")).and_then(|p| p.get("dependencies"));
        poetry.and_then(|d| d.as_table()).into_iter().flat_map(|t| t.keys()).for_each(|k| requirement(k));
    }
    if let Some(Ok(package)) = files.get("package.json").map(|t| serde_json::from_str::<serde_json::Value>(t)) {
        let names = package.get("dependencies").and_then(|d| d.as_object());
        out.extend(names.into_iter().flat_map(|d| d.keys()).map(|k| k.to_ascii_lowercase()));
    }
    // Where packages come from the distribution, only the sources name them.
    let python = |name: &str| Path::new(name).extension().is_some_and(|end| end == "py");
    for (_, text) in files.iter().filter(|(name, _)| python(name)) {
        out.extend(text.lines().filter_map(imported));
    }
    out.remove("");
    out
}

/// The package of a line such as `import redis.asyncio as redis` or `from asyncpg import connect`; also of one that is
/// imported only where it is needed.
fn imported(line: &str) -> Option<String> {
    let code = line.trim_start();
    let from = || code.strip_prefix("from ").filter(|rest| rest.contains(" import "));
    let rest = code.strip_prefix("import ").or_else(from)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(rest[..end].to_ascii_lowercase())
}

/// The last stage's `EXPOSE`, or the port its command names.
fn dockerfile_port(text: &str) -> Option<u16> {
    let lines = || text.lines().map(str::trim);
    let exposed = lines().rev().find_map(|l| l.strip_prefix("EXPOSE "));
    let exposed = exposed.and_then(|rest| rest.split_whitespace().next()?.split('/').next()?.parse().ok());
    exposed.or_else(|| {
        let command = lines().rev().find(|l| l.starts_with("CMD") || l.starts_with("ENTRYPOINT"))?;
        port_of(&words(&command.replace(['[', ']', ',', '"'], " ")))
    })
}

/// The port a command line names: `--port 8000`, `-p 3000`, `--bind 0.0.0.0:8000`, `--server.port=8501`.
fn port_of(words: &[String]) -> Option<u16> {
    let flags = ["--port", "-p", "--bind", "-b", "--server.port"];
    let after = |text: &str| text.rsplit(':').next().and_then(|p| p.parse().ok());
    words.iter().enumerate().find_map(|(i, word)| match word.split_once('=') {
        Some((flag, value)) if flags.contains(&flag) => after(value),
        None if flags.contains(&word.as_str()) => words.get(i + 1).and_then(|value| after(value)),
        _ => None,
    })
}

/// `NAME: command` lines. What only a shell could run is left out, and said so.
fn procfile(text: &str, found: &mut Found) {
    for line in text.lines() {
        let Some((name, command)) = line.split_once(':') else { continue };
        let (name, command) = (name.trim(), command.trim());
        if command.is_empty() || name.starts_with('#') {
            continue;
        }
        let port = port_of(&words(command)).or(found.port).unwrap_or(8000);
        let command = command.replace("${PORT}", "$PORT").replace("$PORT", &port.to_string());
        if command.contains(['$', '"', '\'', '|', '&', ';', '<', '>', '`']) {
            found.reasons.push(format!("Procfile: `{name}` needs a shell; write its command yourself"));
            continue;
        }
        found.reasons.push(format!("Procfile: {name}"));
        let command = words(&command);
        match name {
            "web" => {
                found.port = found.port.or(Some(port));
                found.command = Some(command);
            }
            "release" => found.pre_deploy = Some(command),
            _ => found.workers.push((name.to_ascii_lowercase().replace('_', "-"), command)),
        }
    }
}

fn compose_file(name: &str, text: &str, found: &mut Found) {
    let services = compose::services(text);
    if services.is_empty() {
        return;
    }
    let names: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
    found.reasons.push(format!("{name}: {}", names.join(", ")));
    let mut app: Option<&compose::Service> = None;
    for service in &services {
        match service.database() {
            Some(("postgres", tag)) => found.postgres = Some(postgres(&tag, &mut found.reasons)),
            Some(("redis", tag)) => {
                let versioned = tag.starts_with(|c: char| c.is_ascii_digit());
                found.redis = Some(if versioned { tag } else { REDIS.to_owned() });
            }
            None if app.is_none_or(|a| a.port.is_none() && service.port.is_some()) => app = Some(service),
            // Another service, or a front door: that one is ours.
            _ => {}
        }
    }
    let Some(app) = app else { return };
    found.port = found.port.or(app.port);
    if found.build.is_none() {
        found.build.clone_from(&app.build);
        found.image = app.image.clone().filter(|_| app.build.is_none());
    }
    for other in services.iter().filter(|s| s.name != app.name && s.build == app.build && s.build.is_some()) {
        if let Some(command) = other.command.clone().filter(|_| other.port.is_none()) {
            found.workers.push((other.name.to_ascii_lowercase().replace('_', "-"), command));
        }
    }
}

/// A tag that the preset takes: the version says which data it can read, so another one is said.
fn postgres(tag: &str, reasons: &mut Vec<String>) -> String {
    let digits: String = tag.chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u32>() {
        Ok(major) if POSTGRES_MAJORS.contains(&major) => return tag.to_owned(),
        Ok(major) => {
            reasons.push(format!("PostgreSQL {major}, and wrote {POSTGRES}: its data has to be taken over by a dump"));
        }
        Err(_) => {}
    }
    POSTGRES.to_owned()
}

fn needs(packages: &BTreeSet<String>, found: &mut Found) {
    let any = |names: &[&'static str]| names.iter().copied().find(|n| packages.contains(*n));
    if let Some(package) = any(&["psycopg", "psycopg2", "psycopg2-binary", "asyncpg", "pg", "pg-promise", "postgres"])
        && found.postgres.is_none()
    {
        found.postgres = Some(POSTGRES.to_owned());
        found.reasons.push(format!("PostgreSQL, for {package}"));
    }
    if let Some(package) = any(&["redis", "celery", "rq", "ioredis", "bull", "bullmq", "aioredis"])
        && found.redis.is_none()
    {
        found.redis = Some(REDIS.to_owned());
        found.reasons.push(format!("Redis, for {package}"));
    }
}

fn migrations(files: &Files, packages: &BTreeSet<String>, found: &mut Found) {
    if found.pre_deploy.is_some() {
        return;
    }
    let command: &[&str] = if files.contains_key("manage.py") && packages.contains("django") {
        &["python", "manage.py", "migrate", "--noinput"]
    } else if files.contains_key("alembic.ini") {
        &["alembic", "upgrade", "head"]
    } else {
        return;
    };
    found.reasons.push(format!("migrations: {}", command.join(" ")));
    found.pre_deploy = Some(command.iter().map(|w| (*w).to_owned()).collect());
}

/// The most telling path that a source names.
fn health(sources: &[&str], streamlit: bool) -> Option<String> {
    if streamlit {
        return Some("/_stcore/health".to_owned());
    }
    let paths = ["/health/ready", "/api/health", "/health", "/healthz", "/readyz", "/ready", "/up"];
    let named =
        |path: &str| sources.iter().any(|t| ['"', '\'', '`'].iter().any(|q| t.contains(&format!("{q}{path}{q}"))));
    paths.into_iter().find(|path| named(path)).map(str::to_owned)
}
