//! `lock`, as far as it needs no registry.

use crate::harness::Case;

const STACK: &str = "name = \"sum\"\n\n[services.app]\nimage = \"ghcr.io/acme/sum:1.4\"\nport = 8000\n\n\
    [services.tool]\nbuild = \".\"\n\n[services.fixed]\nimage = \"acme/x@sha256:\
    0000000000000000000000000000000000000000000000000000000000000000\"\n\n[routes]\n\"/\" = \"app\"\n\n\
    [stages.staging]\nproxy.image = \"nginx:1.28\"\n";

fn locked(images: &[&str]) -> String {
    let line = |image: &&str| format!("\"{image}\" = \"sha256:{}\"\n", "a".repeat(64));
    format!("version = 1\n\n[images]\n{}", images.iter().map(line).collect::<String>())
}

const ALL: &[&str] = &["ghcr.io/acme/sum:1.4", "nginx:1.28", "nginx:1.30"];

#[test]
fn the_images_of_all_stages_are_in_it_and_no_others() {
    let complete = Case::new().file("stack.toml", STACK).file("stack.lock", locked(ALL));
    complete.snapshot("lock-complete", &["lock", "--check"]);
    assert_eq!(complete.run(&["--stage", "staging", "lock", "--check"]).code, Some(0));
    assert_eq!(complete.run(&["lock"]).code, Some(0), "nothing to ask a registry for");
    let more = [ALL, &["redis:7"]].concat();
    let more = Case::new().file("stack.toml", STACK).file("stack.lock", locked(&more));
    more.snapshot("lock-left-over", &["lock", "--check"]);
    more.snapshot("lock-left-over-json", &["lock", "--check", "--json"]);
    assert_eq!(more.run(&["lock"]).code, Some(0));
    let text = std::fs::read_to_string(more.path().join("stack.lock")).expect("the lock");
    assert!(
        text.starts_with("# Written by `stackctl lock`") && !text.contains("redis") && text.contains("1.28"),
        "{text}"
    );
    more.snapshot("lock-unknown-service", &["lock", "--upgrade", "ap"]);
}

#[test]
fn a_stage_that_cannot_be_read_keeps_what_is_locked_for_it() {
    let text = STACK.replace("nginx:1.28", "nginx:${NGINX}");
    let case = Case::new().file("stack.toml", &text).file("stack.lock", locked(ALL));
    let outcome = case.run(&["lock", "--check"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("stage staging cannot be read here"), "{}", outcome.stderr);
}

#[test]
fn a_lock_that_is_wrong_is_shown_at_its_place() {
    let wrong = format!("{}\n<<<<<<< HEAD\n", locked(ALL));
    Case::new().file("stack.toml", STACK).file("stack.lock", wrong).snapshot("lock-merge", &["lock"]);
    let wrong = locked(ALL).replace("sha256:a", "sha256:A").replace("version = 1", "version = 2");
    let case = Case::new().file("stack.toml", STACK).file("stack.lock", wrong);
    case.snapshot("lock-wrong", &["plan"]);
    case.snapshot("lock-wrong-json", &["plan", "--json"]);
}

/// `check` reads it, too: what is wrong with it is wrong with the stack, what `lock` would change is a warning.
#[test]
fn check_reads_the_lock() {
    let with = |lock: String| Case::new().file("stack.toml", STACK).file("stack.lock", lock);
    let complete = with(locked(ALL)).run(&["check"]);
    assert_eq!((complete.code, complete.stderr.as_str()), (Some(0), ""));

    let other = with(locked(&["ghcr.io/acme/sum:1.4", "nginx:1.30", "redis:7"]));
    other.snapshot("lock-check", &["check"]);
    let said = other.run(&["check", "--json", "--stage", "staging"]);
    let said: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(said["valid"], true);
    let seen: Vec<String> = said["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .map(|p| format!("{}:{} {} {}", p["file"], p["place"]["line"], p["rule"], p["severity"]).replace('"', ""))
        .collect();
    assert_eq!(seen, ["stack.lock:3 lock-incomplete warning", "stack.lock:6 lock-left-over warning"]);
    let sarif = other.run(&["check", "--format", "sarif"]);
    assert_eq!(sarif.code, Some(0));
    let sarif: serde_json::Value = serde_json::from_str(&sarif.stdout).expect("JSON");
    let seen: Vec<String> = sarif["runs"][0]["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            let line = &place["region"]["startLine"];
            let file = place["artifactLocation"]["uri"].as_str().unwrap_or_default();
            format!("{file}:{line} {}", result["ruleId"].as_str().unwrap_or_default())
        })
        .collect();
    assert_eq!(seen, ["stack.lock:3 lock-incomplete", "stack.lock:6 lock-left-over"]);
    let words = with(locked(&[ALL, &["redis:7"]].concat())).run(&["lock", "--check"]).stderr;
    assert!(!words.contains("warning"), "`lock` itself says what it would change: {words}");

    let broken = with(locked(ALL).replace("sha256:a", "sha256:A"));
    broken.snapshot("lock-check-wrong", &["check"]);
    let said: serde_json::Value = serde_json::from_str(&broken.run(&["check", "--json"]).stdout).expect("JSON");
    assert_eq!((&said["valid"], &said["problems"][0]["file"]), (&false.into(), &"stack.lock".into()));
    let both = Case::new().file("stack.toml", STACK.replace("port", "prot")).file("stack.lock", "version = 2\n");
    both.snapshot("lock-check-both", &["check"]);
}

#[test]
fn nothing_to_lock() {
    let text = "name = \"sum\"\n[services.tool]\nbuild = \".\"\n";
    Case::new().file("stack.toml", text).snapshot("lock-nothing", &["lock"]);
}
