//! Files that cannot be read, and warnings. What is wrong inside of a file: `wrong`.

use std::fmt::Write as _;

use crate::harness::Case;

/// A file that is right but for what is added to it.
const BASE: &str = "name = \"sum\"\n\n[services.app]\nimage = \"app:1\"\nport = 8000\n";

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

/// All stages are checked each time: a file with thousands of them would be read for minutes.
#[test]
fn stages_have_an_end() {
    let stages = |number: usize| {
        let stage = |n| format!("[stages.s{n}]\nservices.app.replicas = 2\n");
        let text = BASE.to_owned() + &(0..number).map(stage).collect::<String>();
        Case::new().file("stack.toml", text).run(&["check", "--stage", "s31"])
    };
    assert_eq!(stages(32).code, Some(0));
    let many = stages(5000);
    assert_eq!(many.code, Some(2));
    assert!(many.stderr.contains("a file has at most 32 stages, this one has 5000"), "{}", many.stderr);
    assert!(many.stderr.contains("[stages.s32]"), "at the first that is too many: {}", many.stderr);
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
fn files_beside() {
    let text = format!(
        "{BASE}env_file = [\"app.env\", \"no.env\", \"conf\"]\n\
         files = [\"conf:/etc/app\", \"no.toml:/etc/app.toml\", \"../x:/x\", \"/etc/passwd:/x\", \"conf:/etc\", \"conf/a\", \"logo.png:/logo.png\", \"conf/a:/etc/app\"]\n\
         secrets = [{{ mode = \"0440\" }}, {{ source = \"key\", mode = \"0640\" }}, {{ source = \"key\", mode = 440 }}]\n\
         [secrets]\nkey = {{ generate = \"hex:32\" }}\n"
    );
    Case::new()
        .file("stack.toml", &text)
        .file("app.env", "# settings\nMODE=fast\nnot a line\nDB_PASSWORD=hunter2\nURL=http://${HOST}/\n")
        .file("conf/a", "a")
        .file("logo.png", b"\x89PNG\r\n")
        .snapshot("files-beside", &["check"]);
    let right = Case::new()
        .file("stack.toml", format!("{BASE}env_file = \"app.env\"\nfiles = [\"./conf/:/etc/app/:ro\"]\n"))
        .file("app.env", "MODE=fast\n")
        .file("conf/a", "a");
    let outcome = right.run(&["check", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let said: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let app = &said["stack"]["services"]["app"];
    assert_eq!(app["environment"]["MODE"][0]["text"], "fast");
    assert_eq!(
        (&app["project_files"][0]["source"], &app["project_files"][0]["target"]),
        (&"conf".into(), &"/etc/app".into())
    );
}

#[test]
fn pages_for_errors() {
    let text = format!(
        "{BASE}[routes]\n\"/\" = \"app\"\n[proxy.errors]\n403 = \"pages/empty.html\"\n404 = \"pages/right.html\"\n\
         413 = \"pages\"\n502 = \"pages/bell.html\"\n503 = \"pages/large.html\"\n504 = \"pages/none.html\"\n"
    );
    let case = Case::new()
        .file("stack.toml", &text)
        .file("pages/right.html", "<h1>Not here</h1>\n<p>$5 {off}; \"really\"</p>\n")
        .file("pages/empty.html", " \n")
        .file("pages/bell.html", "<h1>Oh</h1>\r\n\u{7}\n")
        .file("pages/large.html", "x".repeat((64 << 10) + 1));
    case.snapshot("pages-for-errors", &["check"]);
    let right = Case::new()
        .file("stack.toml", format!("{BASE}[routes]\n\"/\" = \"app\"\n[proxy.errors]\n404 = \"pages/right.html\"\n"))
        .file("pages/right.html", "<h1>Not here</h1>\n");
    let outcome = right.run(&["check", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let said: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(said["stack"]["proxy"]["pages"]["404"], "<h1>Not here</h1>\n");
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
}

/// What works and should not be so: each with its place and the better way, exit code 0.
#[test]
fn warnings() {
    let warned = |name: &str, text: &str, env: &str| {
        Case::new().file("stack.toml", text).file(".env", env).snapshot(&format!("warn-{name}"), &["check"]);
    };
    warned("secret-unused", &format!("{BASE}\n[secrets]\nkey = {{ generate = \"hex:32\" }}\n"), "");
    warned(
        "secret-in-environment",
        &format!(
            "{BASE}environment = {{ KEY = \"${{secrets.key}}\" }}\n[secrets]\nkey = {{ generate = \"hex:32\" }}\n"
        ),
        "",
    );
    warned(
        "secrets-in-plain",
        &format!(
            "{BASE}\n[services.app.environment]\nDB_PASSWORD = \"correct horse\"\nGROQ_API_KEY = \"${{GROQ_API_KEY}}\"\n\
             DATABASE_URL = \"postgresql://sum:hunter2@db.example.com/sum\"\n\
             CACHE_URL = \"redis://:${{CACHE_PASSWORD}}@cache.example.com:6379/0\"\nPASSWORD_RESET = \"true\"\n"
        ),
        "GROQ_API_KEY=gsk_hunter2\nCACHE_PASSWORD=hunter2\n",
    );
    warned(
        "url-secret-as-it-is",
        &format!(
            "{BASE}environment = {{ URL = \"postgresql://u:${{secrets.pw}}@db.example.com/x\" }}\n\
             [secrets]\npw = {{ env = \"PW\" }}\n"
        ),
        "PW=x1\n",
    );
    warned(
        "env-placeholder",
        &format!("{BASE}environment = {{ K_FILE = \"${{secrets.k.file}}\" }}\n[secrets]\nk = {{ env = \"K\" }}\n"),
        "K=changeme\nOTHER=${K}/x\nK=<your key>\n",
    );
    warned(
        "routes",
        &format!(
            "{BASE}healthcheck = \"/health\"\nmetrics = \"/metrics\"\n\n[services.spare]\nimage = \"spare:1\"\nport = 9000\n\n\
             [proxy]\nlimit = {{ rate = \"5/s\", burst = 10 }}\n\n[routes]\n\"/\" = \"app\"\n\"/health\" = \"app\"\n\
             \"/metrics\" = \"app\"\n\"/api\" = \"app\"\n\"/api/\" = \"app\"\n"
        ),
        "",
    );
    warned(
        "image-with-preset",
        &format!("{BASE}depends_on = [\"db\"]\n\n[services.db]\nimage = \"postgres:15\"\n"),
        "",
    );
}

#[test]
fn programs_get_problems_too() {
    let text = format!("{BASE}replcas = 2\n");
    let case = Case::new().file("stack.toml", text).file(".env", "A=$(hunter2)\n");
    case.snapshot("json-problems", &["check", "--json"]);
    case.snapshot("sarif-problems", &["check", "--format", "sarif"]);
    Case::new().file("stack.toml", BASE).snapshot("sarif-nothing", &["check", "--format", "sarif"]);
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
