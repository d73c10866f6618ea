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
