//! Every way a stack file can be wrong that we could think of, and what a user reads then.

use std::fmt::Write as _;

use crate::harness::Case;

/// A file that is right but for what is added to it.
const BASE: &str = "name = \"sum\"\n\n[services.app]\nimage = \"app:1\"\nport = 8000\n";

fn wrong(name: &str, text: &str) {
    Case::new().file("stack.toml", text).snapshot(name, &["check"]);
}

#[test]
fn files_that_cannot_be_read() {
    Case::new().snapshot("file-missing", &["check"]);
    Case::new().file("up/stack.toml", BASE).snapshot("file-folder", &["check", "--file", "up"]);
    Case::new().file("a/b", "").snapshot("file-folder-without", &["check", "--file", "a"]);
    Case::new().snapshot("file-folder-missing", &["check", "--file", "no/stack.toml"]);
    Case::new().file("stack.toml", "").snapshot("file-empty", &["check"]);
    Case::new().file("stack.toml", " \n\n").snapshot("file-blank", &["check"]);
    Case::new().file("stack.toml", b"name = \"sum\"\nx = \"\xff\"\n").snapshot("file-not-utf8", &["check"]);
    Case::new().file("stack.toml", vec![b'#'; 10 << 20]).snapshot("file-10-megabytes", &["check"]);
    Case::new().snapshot("file-endless", &["check", "--file", "/dev/zero"]);
    Case::new().file("stack.toml", "\u{feff}name = 1\n").snapshot("file-byte-order-mark", &["check"]);
    Case::new().file("stack.toml", BASE.replace('\n', "\r\n")).snapshot("file-windows-line-ends", &["check"]);
}

#[test]
fn a_file_above_is_suggested() {
    let case = Case::new().file("stack.toml", BASE).file("deep/er/x", "");
    let outcome = case.run(&["check", "--file", "deep/er/stack.toml"]);
    assert_eq!(
        outcome.stderr,
        "error: there is no `deep/er/stack.toml`\nhint: there is one above: pass `--file [DIR]/stack.toml`\n"
    );
}

#[test]
fn syntax() {
    wrong("syntax-two-errors", "name = \nport = ]\n[services.app]\nimage = \"x\"\n");
    wrong("syntax-yaml", "name: sum\nservices:\n  app:\n    image: x\n");
    wrong("syntax-duplicate-key", &format!("{BASE}port = 9000\n"));
    wrong("syntax-unclosed-string", "name = \"sum\n[services.app]\nport = 1\n");
}

#[test]
fn keys_and_values() {
    wrong(
        "three-errors",
        "name = \"Sum!\"\n\n[services.app]\nimage = \"x\"\nport = 80000\nreplica = 2\n\n[proxy]\nhttp_port = \"80\"\n",
    );
    wrong("only-name", "name = \"sum\"\n");
    wrong("no-name", "[services.app]\nimage = \"x\"\n");
    wrong("unknown-key", &format!("{BASE}replcas = 2\n"));
    wrong("unknown-top-key", &format!("monitoring = true\n{BASE}"));
    wrong(
        "compose-words",
        &format!(
            "{BASE}ports = [\"80:80\"]\nnetworks = [\"a\"]\ncontainer_name = \"x\"\nprivileged = true\nenv = {{ A = \"1\" }}\n"
        ),
    );
    wrong("host-folder", &format!("{BASE}volumes = [\"./data:/data\", \"data\"]\n"));
    wrong("shell-command", &format!("{BASE}command = \"sh -c 'a && b'\"\n"));
    wrong("wrong-kinds", &format!("{BASE}replicas = \"two\"\nread_only = 1\ndepends_on = \"db\"\nenvironment = []\n"));
    wrong("service-name", "name = \"sum\"\n[services.\"My App\"]\nimage = \"x\"\n");
    wrong("unicode", &format!("# ünïcödé 日本\n{BASE}memory = \"zwölf 日本\"\n"));
    wrong("escape-sequences", &format!("{BASE}memory = \"\\u001b[2J\\u001b]0;x\\u0007\"\n"));
}

#[test]
fn the_whole_stack() {
    wrong(
        "cycle",
        "name = \"sum\"\n[services.a]\nimage = \"x\"\ndepends_on = [\"b\"]\n[services.b]\nimage = \"x\"\ndepends_on = [\"a\"]\n",
    );
    wrong(
        "route-to-nowhere",
        &format!("{BASE}\n[routes]\n\"/\" = \"ap\"\n\"/x/\" = {{ service = \"web\" }}\n\"y\" = \"app\"\n"),
    );
    wrong("route-without-port", "name = \"sum\"\n[services.app]\nimage = \"x\"\n[routes]\n\"/\" = \"app\"\n");
    wrong(
        "secret-literal",
        &format!("{BASE}\n[secrets]\npassword = \"hunter2\"\ntwo = {{ env = \"A\", file = \"b\" }}\n"),
    );
    wrong("secret-unused", &format!("{BASE}\n[secrets]\nkey = {{ generate = \"hex:32\" }}\n"));
    wrong(
        "secret-in-environment",
        &format!(
            "{BASE}environment = {{ KEY = \"${{secrets.key}}\" }}\n[secrets]\nkey = {{ generate = \"hex:32\" }}\n"
        ),
    );
    wrong("limit-no-quota", &format!("{BASE}\n[proxy]\nlimit = \"100 per hour\"\n"));
    wrong("limit-without-njs", &format!("{BASE}\n[proxy]\nimage = \"nginx:1.22\"\nlimit = \"100/hour\"\n"));
    wrong(
        "limit-both",
        &format!(
            "{BASE}\n[proxy]\nlimit = {{ rate = \"1/s\", quota = \"5/hour\" }}\n\n[routes]\n\
             \"/\" = \"app\"\n\"/x\" = {{ service = \"app\", limit = {{ quota = \"0/hour\", burst = 2, key = \"a b\" }} }}\n"
        ),
    );
    wrong("limit-without-rate", &format!("{BASE}\n[proxy]\nlimit = {{ burst = 3 }}\n"));
    wrong("limit-per-hour", &format!("{BASE}\n[proxy]\nlimit = {{ rate = \"5/hour\" }}\n"));
    wrong("preset-typo", &format!("{BASE}\n[services.db]\npreset = \"postgre:15\"\n"));
    wrong("preset-twice", "name = \"sum\"\n[services.db]\npreset = \"postgres\"\nreplicas = 3\n");
    wrong(
        "references",
        &format!(
            "{BASE}environment = {{ A = \"${{db.url}}\", B = \"${{secrets.x.file}}\", C = \"${{nonsense}}\", D = \"${{workers}}\" }}\n"
        ),
    );
    wrong("like-nobody", &format!("{BASE}\n[services.worker]\nlike = \"aap\"\n"));
}

#[test]
fn overlays() {
    wrong("overlay", &format!("{BASE}\n[stages.staging]\nservices.app.replicas = 900\nproxy.tls = \"selfsigned\"\n"));
    wrong("overlay-name", &format!("{BASE}\n[stages.staging]\nname = \"other\"\n"));
}

#[test]
fn variables() {
    let text = format!("{BASE}environment = {{ A = \"${{TOKEM}}\", B = \"${{B:-b}}\" }}\n");
    Case::new().file("stack.toml", &text).var("TOKEN", "x").snapshot("variable-undefined", &["check"]);
    let case = Case::new().file("stack.toml", &text).file(".env", "TOKEM=x\n");
    assert_eq!(case.run(&["check"]).code, Some(0));
    Case::new()
        .file("stack.toml", &text)
        .file_with_mode(".env", "TOKEM=x\n", 0o644)
        .snapshot("env-file-readable", &["check"]);
    Case::new().file("stack.toml", &text).file(".env", "A=1\nnonsense\n").snapshot("env-file-wrong", &["check"]);
}

#[test]
fn programs_get_problems_too() {
    let text = format!("{BASE}replcas = 2\n");
    Case::new().file("stack.toml", text).snapshot("json-problems", &["check", "--json"]);
    Case::new().snapshot("json-no-file", &["check", "--json"]);
}

#[test]
fn many_problems_are_cut() {
    let mut text = BASE.to_owned();
    for n in 0..30 {
        let _ = writeln!(text, "zz{n} = 1");
    }
    let outcome = Case::new().file("stack.toml", &text).run(&["check"]);
    assert!(outcome.stderr.contains("… and 10 more; mend these first"), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("stack.toml: 30 errors\n"), "{}", outcome.stderr);
}
