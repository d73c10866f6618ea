//! Stacks that cannot run, each for a reason of its own: `up` names it, and the next step.

use std::io::Write as _;
use std::process::{Command, Stdio};

use stackctl::diagnose::CAUSES;

use super::second::mirror;
use super::support::{Site, slim};

const OTHER_MACHINE: &str = "t-diagnosis-arm:1";

#[test]
fn each_reason_is_named_with_its_next_step() {
    foreign_image();
    let base = slim("t-diagnosis", 18171)
        .replace("replicas    = 3", "replicas    = 1")
        .replace("start_period = \"${START:-40s}\"", "start_period = \"6s\"");
    let site = Site::new(&base, "t-diagnosis", 18171);
    let python = |code: &str| format!("command = [\"python3\", \"-c\", {code:?}]");
    // Cause, what is put into the service, words of the log that are shown with it.
    let cases: Vec<(&str, String, &str)> = vec![
        ("memory", python("x = bytearray(300_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1"), ""),
        ("no-program", "command = [\"gunicorn-that-is-not-there\"]".to_owned(), "gunicorn-that-is-not-there"),
        ("not-executable", "entrypoint = [\"/etc/hostname\"]".to_owned(), "Permission denied"),
        ("permission", python("open('/data/x', 'w')") + "\nvolumes = [\"data:/data\"]", "Permission denied: '/data/x'"),
        ("read-only", python("open('/srv/x', 'w')"), "Read-only file system"),
        ("capability", python("import os; os.chown('/tmp', 0, 0)"), "Operation not permitted"),
        ("names", python("import socket; socket.create_connection(('nowhere.invalid', 5432))"), ""),
        ("setting", python("import os; os.environ['SECRET_KEY']"), "KeyError: 'SECRET_KEY'"),
        ("module", python("import shop"), "No module named 'shop'"),
        ("connection-refused", python("import socket; socket.create_connection(('127.0.0.1', 5432))"), "refused"),
        (
            "loopback",
            "command = [\"python3\", \"-u\", \"-m\", \"http.server\", \"-b\", \"127.0.0.1\", \"8000\"]".to_owned(),
            "127.0.0.1",
        ),
        ("health-port", "command = [\"sleep\", \"600\"]".to_owned(), ""),
        ("health-path", "command = [\"python3\", \"-m\", \"http.server\", \"8000\"]".to_owned(), "404"),
        ("health-error", "stop_signal = \"SIGTERM\"".to_owned(), "503"),
        ("ended", "command = [\"true\"]".to_owned(), ""),
    ];
    for (id, lines, words) in cases {
        site.write(&base.replace("#EXTRA", &lines));
        let env = if id == "health-error" { vec![("FAULT", "unhealthy")] } else { Vec::new() };
        names_the_cause(&site, id, words, &env);
    }
    let image = format!("build       = \"{}\"", super::support::root().join("tests/sample-app").display());
    // An init would try it as a script for a shell that is not there, and say that instead.
    let other = format!("image = \"{OTHER_MACHINE}\"\ncommand = [\"/x\"]\ninit = false");
    site.write(&base.replace(&image, &other));
    names_the_cause(&site, "architecture", "", &[]);
    assert!(!site.list("containers").iter().any(|n| n.contains("app")), "nothing is left of any of them");
}

#[track_caller]
fn names_the_cause(site: &Site, id: &str, words: &str, env: &[(&str, &str)]) {
    let cause = CAUSES.iter().find(|c| c.id == id).expect("a cause");
    let said = site.run(&["up", "--yes", "--no-verify"], env);
    println!("{id}: {}", said.err.lines().filter(|l| !l.contains(" done ")).collect::<Vec<_>>().join("\n  "));
    said.ends(1).says(cause.title).says(cause.step).says(words);
}

/// An image with one program, for another kind of processor than the engine's.
fn foreign_image() {
    let name = format!("{}/library/{OTHER_MACHINE}", mirror());
    // The header of a program for a machine that no engine runs on (SPARC), and nothing behind it.
    let mut program = b"\x7fELF\x02\x02\x01".to_vec();
    program.resize(16, 0);
    program.extend([0, 2, 0, 43]);
    program.resize(120, 0);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, "x", program.as_slice()).unwrap();
    let mut import = Command::new("docker").args(["import", "-", &name]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&tar.into_inner().unwrap()).unwrap();
    assert!(import.wait().unwrap().success());
}
