//! What people do every day, and what they do by mistake.

use std::process::Stdio;
use std::time::Duration;

use super::drift;
use super::support::{Site, Visitor, replicas_answering, said, slim};

#[test]
fn up_twice_changes_nothing_and_a_change_touches_only_what_it_names() {
    let site = Site::new(&slim("t-every", 18081), "t-every", 18081);
    site.up("1");
    site.run(&["verify", "--against", "1"], &[]).ends(1).says("nothing is kept of what `verify` found of release 1");
    // What `up` asks at its end is kept with the release that runs.
    site.run(&["up", "--yes"], &[("APP_VERSION", "1")]).ends(0).says("0 steps");
    let same = against(&site, "1", 0);
    assert_eq!(same["against"], "release 1");
    assert_eq!(worse(&same), Vec::<String>::new());
    let containers = ["t-every-app-1", "t-every-app-2", "t-every-app-3", "t-every-proxy-1", "t-every-stackctl"];
    assert_eq!(site.list("containers"), containers);
    let proxy = site.docker(&["inspect", "-f", "{{.Id}}", "t-every-proxy-1"]);

    let visitor = Visitor::of(&site);
    site.up("2");
    visitor.was_always_served();
    assert!(site.get("/health").unwrap().1.contains("\"version\":\"2\""));
    assert_eq!(proxy, site.docker(&["inspect", "-f", "{{.Id}}", "t-every-proxy-1"]), "the front door stayed");
    assert_eq!(site.list("containers"), containers);
    assert_eq!(replicas_answering(&site, "/", 30).len(), 3, "every replica answers");

    // Closed for everybody, and open again.
    site.run(&["maintenance"], &[]).ends(0).says("is open");
    site.run(&["maintenance", "on"], &[]).ends(0).says("everybody gets 503");
    assert_eq!(site.get("/health").unwrap().0, 503);
    site.run(&["maintenance"], &[]).ends(0).says("everybody gets 503");
    site.run(&["maintenance", "off"], &[]).ends(0).says("is open");
    assert_eq!(site.get("/health").unwrap().0, 200);

    // More, then fewer, replicas.
    for (replicas, names) in [(5, 5), (2, 2)] {
        site.write(&slim("t-every", 18081).replace("replicas    = 3", &format!("replicas    = {replicas}")));
        let visitor = Visitor::of(&site);
        site.up("2");
        visitor.was_always_served();
        assert_eq!(replicas_answering(&site, "/", 40).len(), names);
        site.nothing_to_do("2");
    }

    // A quota: another configuration, so Nginx is reloaded, and counts.
    let limited = "\"/\" = \"app\"\n\"/few\" = { service = \"app\", limit = \"2/hour\" }";
    site.write(
        &slim("t-every", 18081).replace("replicas    = 3", "replicas    = 2").replace("\"/\" = \"app\"", limited),
    );
    site.up("2");
    let few: Vec<bool> = (0..3).map(|_| site.get("/few").unwrap().0 == 429).collect();
    assert_eq!(few, [false, false, true]);

    // Somebody helped by hand: a container restarted, one removed.
    site.docker(&["restart", "t-every-app-1"]);
    site.nothing_to_do("2");
    while replicas_answering(&site, "/", 10).len() < 2 {
        std::thread::sleep(Duration::from_millis(200));
    }
    site.docker(&["rm", "-f", "t-every-app-2"]);
    assert_eq!(site.run(&["plan", "--exit-code"], &[("APP_VERSION", "2")]).code, 3);
    // Since the first release one has gone; what was so then is not told again.
    assert_eq!(worse(&against(&site, "1", 4)), ["HLT-3 app", "HLT-6 app"]);
    site.run(&["verify", "--against", "99"], &[])
        .ends(1)
        .says("release 99 of t-every is not kept")
        .says("kept are 1, ");
    let visitor = Visitor::of(&site);
    site.up("2");
    visitor.was_always_served();
    site.nothing_to_do("2");
    site.run(&["status"], &[]).ends(0).says("t-every-app-2");
    site.run(&["logs", "app", "--tail", "5"], &[]).ends(0).says("app-2 |");
    site.run(&["logs", "ap"], &[]).ends(1).says("did you mean `app`?");
}

/// What the gate of `up` asks, compared with what was found of a release.
fn against(site: &Site, release: &str, code: i32) -> serde_json::Value {
    let asked = ["--json", "verify", "--quick", "--only", "HLT,HDR,HSTS,NET", "--against", release];
    let said = site.run(&asked, &[("APP_VERSION", "2")]).ends(code);
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.out))
}

/// What got worse: check and subject.
fn worse(report: &serde_json::Value) -> Vec<String> {
    let all = report["findings"].as_array().unwrap().iter().filter(|finding| finding["worse"] == true);
    let name = |finding: &serde_json::Value| {
        format!("{} {}", finding["id"].as_str().unwrap(), finding["subject"].as_str().unwrap())
    };
    all.map(name).collect()
}

#[test]
fn down_keeps_data_unless_it_is_told_not_to() {
    let stack = format!(
        "{}\n[services.postgres]\npreset = \"postgres:15\"\nmemory = \"128M\"\n",
        slim("t-data", 18082)
            .replace("replicas    = 3", "replicas    = 1")
            .replace("#EXTRA", "pre_deploy = [\"python3\", \"-m\", \"app.migrate\"]")
            .replace("[proxy]", "DATABASE_URL_FILE = \"${postgres.url.file}\"\n\n[proxy]")
    );
    let site = Site::new(&stack, "t-data", 18082);
    site.up("1");
    let (status, _) = post(&site, "/api/items", "{\"name\":\"kept\"}");
    assert!((200..300).contains(&status), "{status}");

    // The data says what wrote it; without a container, its volume does.
    let other_version_is_refused = || {
        site.write(&stack.replace("postgres:15", "postgres:17"));
        for args in [&["plan"][..], &["up", "--yes"]] {
            let words = "is PostgreSQL 17 now, and the data in `t-data_postgres-data` is of PostgreSQL 15";
            site.run(args, &[("APP_VERSION", "1")]).ends(5).says(words).says("pg_dump -U t_data t_data > t_data.sql");
        }
        site.write(&stack);
    };
    other_version_is_refused();

    site.run(&["down"], &[]).ends(5).says("--yes");
    site.run(&["down", "--volumes"], &[]).ends(5).says("nobody can be asked here");
    assert_eq!(site.get("/health").unwrap().0, 200, "refused: nothing was touched");

    site.run(&["down", "--yes"], &[]).ends(0);
    assert_eq!(site.list("network"), Vec::<String>::new());
    assert_eq!(site.list("volume"), ["t-data_postgres-data", "t-data_stackctl"]);
    other_version_is_refused();
    site.up("1");
    assert!(site.get("/api/items").unwrap().1.contains("kept"));

    site.run(&["down", "--volumes", "--yes"], &[]).ends(0);
    for kind in ["containers", "network", "volume"] {
        assert_eq!(site.list(kind), Vec::<String>::new(), "{kind}");
    }
    site.run(&["down", "--volumes", "--yes"], &[]).ends(0).says("0 steps");
}

#[test]
fn a_second_checkout_goes_on_where_the_first_stopped() {
    let stack = slim("t-second", 18083).replace(
        "[proxy]",
        "SECRET_KEY_FILE = \"${secrets.key.file}\"\nGIVEN_FILE = \"${secrets.given.file}\"\n\n[proxy]",
    ) + "\n[secrets]\nkey = { generate = \"hex:32\" }\ngiven = { env = \"GIVEN\" }\n";
    let site = Site::new(&stack, "t-second", 18083);
    site.run(&["up", "--yes", "--no-verify"], &[]).ends(2).says("set `GIVEN` in the environment or in .env");
    assert_eq!(site.list("containers"), Vec::<String>::new(), "a missing secret touches nothing");
    std::fs::write(site.folder().join(".env"), "GIVEN=a-value-from-dotenv\n").unwrap();
    set_mode(&site, ".env", 0o600);
    site.up("1");
    let key = |site: &Site| {
        let facts: serde_json::Value = serde_json::from_str(&site.get("/").unwrap().1).unwrap();
        facts["key_id"].as_str().unwrap().to_owned()
    };
    let before = key(&site);
    // The same file somewhere else, and no .env there.
    std::fs::remove_file(site.folder().join(".env")).unwrap();
    site.run(&["up", "--yes"], &[("APP_VERSION", "1")]).ends(0).says("0 steps");
    site.up("2");
    assert_eq!(before, key(&site), "the generated secret is the engine's");
    drift::by_hand(&site);
}

#[test]
fn two_at_once_take_turns() {
    let site = Site::new(&slim("t-turns", 18084), "t-turns", 18084);
    site.up("1");
    let mut command = site.command(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2")]);
    let first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = first;
    std::thread::sleep(Duration::from_millis(900));
    let second = site.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2")]);
    let done = first.wait().unwrap();
    assert!(done.success(), "{done}");
    // It waited for the first and found nothing left to do, or gave up waiting and named the holder.
    match second.code {
        0 => {}
        75 => assert!(second.err.contains("tester@"), "{}", second.err),
        other => panic!("exit {other}: {}", second.err),
    }
    site.nothing_to_do("2");
}

/// Each has a lock of its own, and all look for free addresses at the same moment.
#[test]
fn stacks_that_come_up_at_once_get_addresses_of_their_own() {
    let stack = |name: &str, port| slim(name, port).replace("replicas    = 3", "replicas    = 1");
    let site = Site::new(&stack("t-same-1", 18197), "t-same-1", 18197);
    let others = [("t-same-2", 18198), ("t-same-3", 18199)]
        .map(|(name, port)| Site::on(None, None, &stack(name, port), name, port));
    let sites = [&site, &others[0], &others[1]];
    // The image is the same; building it is not what this is about.
    for site in sites {
        site.up("1");
        site.run(&["down", "--volumes", "--yes"], &[]).ends(0);
    }
    for version in ["2", "3"] {
        let running: Vec<_> = sites
            .iter()
            .map(|site| {
                let mut command = site.command(&["up", "--yes", "--no-verify"], &[("APP_VERSION", version)]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in running {
            said(&child.wait_with_output().unwrap()).ends(0);
        }
        for site in sites {
            assert_eq!(site.get("/health").unwrap().0, 200, "{}", site.name);
            site.nothing_to_do(version);
            site.run(&["down", "--volumes", "--yes"], &[]).ends(0);
        }
    }
}

#[test]
fn an_engine_that_is_not_there_is_said_in_words() {
    let site = Site::new(&slim("t-none", 18085), "t-none", 18085);
    for command in ["plan", "up", "status", "verify"] {
        site.run(&["--host", "unix:///nonexistent/engine.sock", command], &[]).ends(1).says("/nonexistent/engine.sock");
    }
    site.run(&["--host", "ssh://deploy@host.invalid", "plan"], &[]).ends(1).says("Could not resolve hostname");
}

fn post(site: &Site, path: &str, body: &str) -> (u16, String) {
    let output = std::process::Command::new("curl")
        .args(["-s", "-o", "/dev/stdout", "-w", "\n%{http_code}", "-H", "Content-Type: application/json", "-d", body])
        .arg(format!("http://localhost:{}{path}", site.port))
        .output()
        .unwrap();
    let text = said(&output).out;
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn set_mode(site: &Site, name: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(site.folder().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
}
