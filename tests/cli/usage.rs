//! Help, usage, settings.

use crate::harness::Case;

pub const GOOD: &str = r#"name = "sum"

[services.app]
image = "ghcr.io/acme/sum:1.4"
port = 8000
replicas = 2
healthcheck = "/health"

[services.app.environment]
DATABASE_URL_FILE = "${postgres.url.file}"

[services.postgres]
preset = "postgres:15"

[routes]
"/" = "app"
"/api/" = { service = "app", limit = { rate = "10/s", burst = 20 } }

[stages.staging]
services.app.replicas = 1
"#;

#[test]
fn help_fits_80_columns() {
    let case = Case::new();
    case.snapshot("help", &["--help"]);
    for command in [
        "init",
        "check",
        "explain",
        "render",
        "plan",
        "up",
        "verify",
        "status",
        "logs",
        "down",
        "secrets",
        "schema",
        "completions",
        "man",
    ] {
        case.snapshot(&format!("help-{command}"), &[command, "--help"]);
    }
    for args in [&["--help"][..], &["verify", "-h"], &["logs", "--help"]] {
        let outcome = case.run(args);
        for line in outcome.stdout.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[test]
fn wrong_usage() {
    let case = Case::new();
    case.snapshot("usage-nothing", &[]);
    case.snapshot("usage-unknown-command", &["chek"]);
    case.snapshot("usage-unknown-flag", &["plan", "--exitcode"]);
    case.snapshot("usage-wrong-value", &["logs", "--tail", "many"]);
    case.snapshot("usage-quiet-and-verbose", &["check", "--quiet", "--verbose"]);
    Case::new().var("STACKCTL_JSON", "maybe").snapshot("usage-wrong-variable", &["check"]);
}

#[test]
fn version() {
    let outcome = Case::new().run(&["--version"]);
    assert_eq!(outcome.stdout, format!("stackctl {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn good_files() {
    let case = Case::new().file("stack.toml", GOOD);
    case.snapshot("check-good", &["check"]);
    case.snapshot("check-good-json", &["check", "--json"]);
    case.snapshot("check-good-stage", &["--stage", "staging", "check"]);
    case.snapshot("check-good-quiet", &["check", "--quiet"]);
    case.snapshot("check-good-colour", &["--color", "always", "check"]);
    case.snapshot("check-stage-typo", &["check", "--stage", "stagign"]);
}

#[test]
fn flags_win_over_variables() {
    let case = Case::new().file("a.toml", GOOD).var("STACKCTL_FILE", "b.toml").var("STACKCTL_COLOR", "always");
    assert_eq!(case.run(&["check"]).code, Some(2));
    let outcome = case.run(&["check", "--file", "a.toml", "--color=never"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(0), "a.toml is valid: 2 services, 2 routes at https://localhost\n")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::{Command, Stdio};
    // A pipe whose reading end is closed before anything is written.
    let mut reader = Command::new("true").stdin(Stdio::piped()).spawn().expect("true");
    let pipe = reader.stdin.take().expect("a pipe");
    reader.wait().expect("its end");
    let output = Command::new(env!("CARGO_BIN_EXE_stackctl"))
        .arg("schema")
        .env_clear()
        .stdout(Stdio::from(pipe))
        .stderr(Stdio::piped())
        .output()
        .expect("the binary runs");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_a_failure() {
    use std::process::{Command, Stdio};
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
    let output = Command::new(env!("CARGO_BIN_EXE_stackctl"))
        .arg("schema")
        .env_clear()
        .stdout(Stdio::from(full))
        .stderr(Stdio::piped())
        .output()
        .expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: cannot write to standard output"), "{stderr}");
}

#[test]
fn the_schema_is_the_documented_one() {
    let outcome = Case::new().run(&["schema"]);
    let documented = std::fs::read_to_string(crate::harness::root().join("docs/stack.schema.json")).expect("docs");
    assert_eq!(outcome.stdout, documented);
}
