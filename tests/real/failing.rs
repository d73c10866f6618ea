//! A version that cannot be released: the old one serves throughout, and the message says why and what to do.

use std::net::TcpListener;

use super::book::Book;
use super::diagnosis::note;
use super::support::{Said, Site, Visitor, slim};

/// What is wrong, the file, the environment, words of the answer.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn a_version_that_cannot_be_released_is_no_outage() {
    let stack = slim("t-fail", 18091).replace("#EXTRA", "pre_deploy = [\"python3\", \"-m\", \"app.migrate\"]");
    let site = Site::new(&stack, "t-fail", 18091);
    // Without a database the migration has nothing to do, and says so.
    let stack = stack.replace(
        "pre_deploy = [\"python3\", \"-m\", \"app.migrate\"]",
        "pre_deploy = [\"python3\", \"-c\", \"import os, sys; sys.exit('column nope does not exist' if os.environ['FAULT'] == 'migrate' else 0)\"]",
    );
    site.write(&stack);
    site.up("1");
    let names = site.list("containers");

    let exits = stack.replace("[services.app.environment]", "command = [\"python3\", \"-c\", \"print('cannot find the moon'); raise SystemExit(3)\"]\n\n[services.app.environment]");
    let no_image = stack.replace(
        &format!("build       = \"{}\"", super::support::root().join("tests/sample-app").display()),
        "image = \"example.invalid/nobody/nothing:1\"",
    );
    let no_command =
        stack.replace("[services.app.environment]", "command = [\"/no/such/program\"]\n\n[services.app.environment]");
    let cases: [Case<'_>; 5] = [
        (
            "never healthy",
            &stack,
            &[("FAULT", "unhealthy"), ("START", "6s"), ("APP_VERSION", "2")],
            &["not ready after 6s", "503", "start_period"],
        ),
        ("exits at once", &exits, &[], &["it exited with 3", "cannot find the moon"]),
        (
            "migration fails",
            &stack,
            &[("FAULT", "migrate"), ("APP_VERSION", "2")],
            &["exited with 1", "column nope does not exist", "stackctl up"],
        ),
        ("no such image", &no_image, &[], &["example.invalid/nobody/nothing:1"]),
        ("no such command", &no_command, &[], &["/no/such/program"]),
    ];
    let mut book = Book::at("diagnosis/failing.txt");
    for (what, toml, env, words) in cases {
        site.write(toml);
        let visitor = Visitor::of(&site);
        let mut said = site.run(&["up", "--yes"], env).ends(1);
        let asked = visitor.was_always_served();
        // Which of three fails first is chance, and how names are looked up is the machine's.
        let any = |text: &str| (2..=3).fold(text.to_owned(), |text, n| text.replace(&format!("-app-{n}"), "-app-1"));
        if what != "no such image" {
            note(&mut book, what, &Said { code: said.code, out: String::new(), err: any(&said.err) }, &site);
        }
        for word in words {
            said = said.says(word);
        }
        said.says("what served before still serves");
        assert_eq!(site.list("containers"), names, "{what}: something was left behind");
        assert!(site.get("/health").unwrap().1.contains("\"version\":\"1\""), "{what}");
        println!("{what}: {asked} requests, none failed");
    }
    book.is_as_expected();
    site.write(&stack);
    site.nothing_to_do("1");
    let visitor = Visitor::of(&site);
    site.up("3");
    visitor.was_always_served();
    assert!(site.get("/health").unwrap().1.contains("\"version\":\"3\""));
}

#[test]
fn a_port_that_is_taken_leaves_the_old_door_open() {
    let site = Site::new(&slim("t-port", 18092), "t-port", 18092);
    site.up("1");
    let taken = TcpListener::bind(("127.0.0.1", 18093)).unwrap();
    site.write(&slim("t-port", 18093));
    site.run(&["up"], &[]).ends(5).says("--yes");
    let said = site.run(&["up", "--yes", "--no-verify"], &[]).ends(1);
    let mut book = Book::at("diagnosis/port-taken.txt");
    note(&mut book, "port taken", &said, &site);
    book.is_as_expected();
    said.says("18093").says("could not start t-port-proxy-1");
    assert_eq!(site.get("/health").unwrap().0, 200, "the old front door is back");
    drop(taken);
    site.write(&slim("t-port", 18092));
    site.up("1");
    site.nothing_to_do("1");
}
