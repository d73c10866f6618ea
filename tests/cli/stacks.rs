//! The systems of the five guides, in `tests/stacks`: right, readable, and without a warning that is not explained.

use std::fs;

use crate::harness::{Case, root};

const STACKS: &[&str] = &["storm", "sum", "aigov", "ai-search", "research-assistant"];

fn text(name: &str) -> String {
    fs::read_to_string(root().join(format!("tests/stacks/{name}.toml"))).expect("a stack")
}

#[test]
fn all_are_right_and_every_warning_is_explained() {
    for name in STACKS {
        let text = text(name);
        let case = Case::new().file("stack.toml", &text);
        let outcome = case.run(&["check", "--json"]);
        assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.stdout);
        let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        let comments: Vec<&str> = text.lines().filter_map(|l| l.split_once("# ").map(|(_, comment)| comment)).collect();
        let mut rules: Vec<&str> =
            report["problems"].as_array().expect("a list").iter().filter_map(|p| p["rule"].as_str()).collect();
        rules.sort_unstable();
        rules.dedup();
        for rule in rules {
            assert!(comments.iter().any(|c| c.contains(rule)), "{name}: no comment explains {rule}");
        }
        if text.contains("[stages.staging]") {
            assert_eq!(case.run(&["--stage", "staging", "check"]).code, Some(0), "{name}, staging");
        }
        let rendered = case.run(&["render", "--no-secrets", "out"]);
        let missing = rendered.stderr.contains("has no value");
        assert!(rendered.code == Some(0) || missing, "{name}: {}", rendered.stderr);
        assert!(text.lines().all(|l| l.chars().count() <= 130), "{name} is readable");
    }
}

/// An editor may ask at every stop of the keys: 20 ms of processor time on average, also for a debug build.
#[test]
fn check_is_quick() {
    const RUNS: u32 = 10;
    let stacks = STACKS.iter().map(|name| format!("tests/stacks/{name}.toml"));
    for file in stacks.chain(["stack.example.toml".to_owned()]) {
        let file = root().join(file).display().to_string();
        let script =
            format!("for i in {{1..{RUNS}}}; do \"$1\" --file \"$2\" check --quiet >/dev/null || exit 1; done; times");
        let output = std::process::Command::new("bash")
            .args(["-c", &script, "bash", env!("CARGO_BIN_EXE_stackctl"), &file])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .expect("bash");
        let text = String::from_utf8_lossy(&output.stdout);
        // The second line is that of the children: `0m0.050s 0m0.020s`.
        let seconds: f64 = text
            .lines()
            .nth(1)
            .into_iter()
            .flat_map(str::split_whitespace)
            .filter_map(|word| word.split_once('m')?.1.trim_end_matches('s').parse::<f64>().ok())
            .sum();
        let each = seconds / f64::from(RUNS);
        assert!(output.status.success() && each > 0.0 && each <= 0.020, "{file}: {each} s");
    }
}

/// What the guides print and what cannot work is not to be found in any of them.
#[test]
fn mistakes_of_the_guides_are_not_copied() {
    for name in STACKS {
        let code: String =
            text(name).lines().map(|l| l.split(" # ").next().unwrap_or(l)).filter(|l| !l.starts_with('#')).collect();
        for wrong in ["pool_size", "localhost", "5432", "app-1", "changeme", "your-key", "docker.sock"] {
            assert!(!code.contains(wrong), "{name} has `{wrong}`");
        }
    }
}
