//! `docs/troubleshooting.md`, made from the table.

use std::fmt::Write as _;

use super::{CAUSES, Cause, Sign};

/// What people notice while a stack runs, and where the answer is.
const SYMPTOMS: &[(&str, &str)] = &[
    (
        "Nothing answers",
        "`stackctl status` shows what runs; `stackctl verify` names the first thing that is not as declared. A host's \
         firewall or the DNS is what it cannot see from the inside: `curl -v` from elsewhere.",
    ),
    (
        "502 Bad Gateway",
        "The front door reaches no replica: `stackctl status`, then `stackctl logs SERVICE`. Causes below, from \
         [loopback](#loopback) to [health-port](#health-port).",
    ),
    (
        "504 Gateway Timeout, slow pages",
        "The program takes longer than the route's `timeout`: `stackctl stats` shows whether it has enough processor and \
         memory, its log what it waits for. More `replicas` or `cpus`; a longer `timeout` for routes that need it.",
    ),
    (
        "413 Request Entity Too Large",
        "An upload is larger than the route's limit for bodies: raise `max_body` of that route.",
    ),
    (
        "429 Too Many Requests",
        "A `limit` of stack.toml works. `stackctl verify` measures it; behind a load balancer all users may look like one.",
    ),
    (
        "The browser warns of the certificate",
        "A trial certificate (`tls = \"self-signed\"`) is for trials; `stackctl cert trust` prints what to import for them. `stackctl verify --only TLS` says what is wrong with \
         a real one: name, chain, date.",
    ),
    (
        "A database refuses connections",
        "[password](#password), [names](#names), [connection-refused](#connection-refused), [database-starting](#database-starting).",
    ),
    (
        "It restarts again and again",
        "`stackctl logs --tail 50 SERVICE`: the last lines before each start are the reason. [memory](#memory) first.",
    ),
    (
        "`up` says that the engine cannot be reached",
        "The message says which engine and who chose it (`--host`, stack.toml, DOCKER_HOST, the Docker context), and what \
         `ssh` or TLS answered.",
    ),
];

/// The page.
pub fn document() -> String {
    let mut out = String::from(
        "# Troubleshooting\n\n<!-- Made from src/diagnose/ by `UPDATE_DOCS=1 cargo test --test cli`. -->\n\n\
         When a deploy fails, the old release goes on serving, and `up` says why: it looks at how the container ended, what \
         it printed, what its health check got, and what the engine said, and names the first of the causes below that \
         fits, with the words it was told by. Where none fits, the last lines of the log are shown.\n\n\
         ## What you see\n\n| | |\n|---|---|\n",
    );
    for (what, answer) in SYMPTOMS {
        let _ = writeln!(out, "| {what} | {answer} |");
    }
    out.push_str("\n## Causes\n");
    for cause in CAUSES {
        section(&mut out, cause);
    }
    out
}

fn section(out: &mut String, cause: &Cause) {
    let signs: Vec<String> = cause.signs.iter().map(words).collect();
    let _ = write!(
        out,
        "\n### {}\n\n{}. **Next:** {}.\n\nTold by: {}.\n",
        cause.id,
        capital(cause.title),
        cause.step,
        signs.join("; ")
    );
}

fn words(sign: &Sign) -> String {
    match sign {
        Sign::OutOfMemory => "the kernel ended it for want of memory".to_owned(),
        Sign::Exit(code) => format!("exit code {code}"),
        Sign::Engine(text) => format!("the engine says `{text}`"),
        Sign::Log(text) => format!("`{text}` in its log"),
        Sign::Health(text) => format!("its health check: `{text}`"),
        Sign::Anywhere(text) => format!("`{text}`"),
        Sign::Both(first, second) => format!("{} and {}", words(first), words(second)),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
