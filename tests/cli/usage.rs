//! Help, usage, settings.

use crate::harness::Case;

const GOOD: &str = r#"name = "sum"

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
fn values_are_explained() {
    let case = Case::new().file("stack.toml", GOOD);
    for (name, args) in [
        ("replicas", &["explain", "services.app.replicas"][..]),
        ("stage", &["--stage", "staging", "explain", "services.app.replicas"]),
        ("default", &["explain", "proxy.hsts"]),
        ("preset", &["explain", "services.postgres.memory"]),
        ("route-limit", &["explain", "routes./api/.limit.rate"]),
        ("json", &["explain", "services.app.image", "--json"]),
        ("typo", &["explain", "services.app.replica"]),
    ] {
        case.snapshot(&format!("explain-{name}"), args);
    }
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
fn completions_and_manual() {
    let case = Case::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = case.run(&["completions", shell]);
        assert!(outcome.code == Some(0) && outcome.stdout.contains("STACKCTL_COMPLETE"), "{shell}");
    }
    case.snapshot("man", &["man", "out/man1"]);
    let mut pages: Vec<String> = std::fs::read_dir(case.path().join("out/man1"))
        .expect("pages")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    pages.sort();
    let said = case.run(&["man", "out/man1"]).stderr;
    assert!(said.contains(&format!("wrote {} pages", pages.len())), "{said}: {pages:?}");
    assert!(pages.iter().any(|page| page == "stackctl-secrets-set.1"), "commands of commands, too: {pages:?}");
    let up = std::fs::read_to_string(case.path().join("out/man1/stackctl-up.1")).expect("a page");
    assert!(up.contains("stackctl\\-up") && up.contains("no\\-verify"), "{up}");
}

/// Bash itself, with the script it gets, completes commands, flags, services, stages and checks.
#[test]
fn bash_completes_names_of_the_file() {
    let case = Case::new().file("stack.toml", GOOD).file("other.toml", "[services.lonely]\n[stages.far]\n");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_stackctl")).parent().expect("a folder");
    for (line, expected) in [
        ("ver", "verify"),
        ("logs ", "app postgres"),
        ("logs po", "postgres"),
        ("--stage st", "staging"),
        ("--file other.toml logs l", "lonely"),
        ("--file=other.toml --stage f", "far"),
        ("explain services.app.rep", "services.app.replicas"),
        ("verify --only WS-1", "WS-1"),
    ] {
        let script = format!(
            "source <(stackctl completions bash)\nCOMP_WORDS=(stackctl {line}{})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _clap_complete_stackctl stackctl \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\nIFS=' '\necho \"${{COMPREPLY[*]}}\"\n",
            if line.ends_with(' ') { "''" } else { "" }
        );
        let output = std::process::Command::new("bash")
            .args(["--norc", "-c", &script])
            .current_dir(case.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", program.display()))
            .output()
            .expect("bash");
        let shown = String::from_utf8_lossy(&output.stdout);
        let mut names: Vec<&str> = shown.split_whitespace().filter(|w| !w.starts_with('-')).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected, "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_schema_is_the_documented_one() {
    let outcome = Case::new().run(&["schema"]);
    let documented = std::fs::read_to_string(crate::harness::root().join("docs/stack.schema.json")).expect("docs");
    assert_eq!(outcome.stdout, documented);
}
