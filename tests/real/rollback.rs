//! Going back over image, environment, route, limit and secret together, while somebody keeps asking.

use std::path::Path;

use serde_json::Value;

use super::support::{Site, Visitor, root, slim};

const NAME: &str = "t-back";
const PORT: u16 = 18261;

fn stack(more: &str) -> String {
    let app = root().join("tests/sample-app").display().to_string();
    let secret = "TOKEN_FILE  = \"${secrets.token.file}\"\nAPP_VERSION =";
    let text = slim(NAME, PORT).replace(&app, "app").replacen("APP_VERSION =", secret, 1);
    format!("{text}{more}\n[secrets]\ntoken = {{ env = \"TOKEN\" }}\n")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn data(site: &Site, args: &[&str], env: &[(&str, &str)]) -> Value {
    let said = site.run(args, env).ends(0);
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {}", said.out))
}

/// What runs: image, environment and secret of the app, the front door's configuration without its name and addresses.
fn facts(site: &Site) -> (String, String, String, Vec<String>) {
    let app = format!("{NAME}-app-1");
    let image = site.docker(&["inspect", "-f", "{{.Image}}", &app]);
    let config = site.docker(&["inspect", "-f", "{{index .Config.Labels \"stackctl.config\"}}", &app]);
    let secret = site.docker(&["exec", &app, "cat", "/run/secrets/token"]);
    let nginx =
        site.docker(&["exec", &format!("{NAME}-proxy-1"), "nginx", "-T", "-c", "/run/stackctl/current/nginx.conf"]);
    let mut rules: Vec<String> = nginx
        .lines()
        .map(str::trim)
        .filter(|l| l.contains("limit_req") || l.starts_with("location "))
        .map(str::to_owned)
        .collect();
    rules.sort();
    (image, config, secret, rules)
}

#[test]
fn a_release_is_made_again() {
    let site = Site::new(&stack(""), NAME, PORT);
    copy(&root().join("tests/sample-app"), &site.folder().join("app"));
    let (one, two) =
        ([("APP_VERSION", "1"), ("TOKEN", "first-token")], [("APP_VERSION", "2"), ("TOKEN", "second-token")]);
    site.run(&["up", "--yes", "--no-verify"], &one).ends(0);
    let first = facts(&site);
    assert_eq!(first.2, "first-token");

    // Everything at once, by a plan that was looked at before.
    site.write(&stack("\"/two/\" = { service = \"app\", limit = { rate = \"7/s\", burst = 3 } }\n"));
    std::fs::write(site.folder().join("app/app/added.py"), "ADDED = True\n").unwrap();
    site.run(&["plan", "--out", "two.plan"], &two)
        .ends(0)
        .says("files of its build changed")
        .says("secret `token` changed");
    site.run(&["up", "--plan", "two.plan", "--no-verify"], &[two[0], ("TOKEN", "third")])
        .ends(5)
        .says("secret `token` changed");
    let visitor = Visitor::of(&site);
    site.run(&["up", "--plan", "two.plan", "--no-verify"], &two).ends(0).says("visitors meanwhile: 0 of");
    visitor.was_always_served();
    site.run(&["up", "--plan", "two.plan", "--no-verify"], &two).ends(5).says("out of date").says("plan --out");
    let second = facts(&site);
    assert!(first.0 != second.0 && first.1 != second.1 && first.2 != second.2 && first.3 != second.3, "{second:?}");

    // One that fails: its log is kept, and with it what was to be looked at.
    let failing = [two[0], two[1], ("FAULT", "unhealthy"), ("START", "12s")];
    let said = site.run(&["up", "--yes", "--no-verify", "--keep-failed"], &failing).ends(1);
    said.says("still serves").says("kept until the next run");
    assert_eq!(
        site.list("containers").iter().filter(|n| n.contains("-app-1")).count(),
        2,
        "{:?}",
        site.list("containers")
    );
    site.run(&["releases", "3"], &two)
        .ends(0)
        .says("release 3: failed")
        .says("last lines of t-back-app-1")
        .says("Uvicorn running");

    let diff = data(&site, &["--json", "diff", "1", "2"], &two);
    let changes = |service: &str| {
        let services = diff["services"].as_array().unwrap();
        services.iter().find(|s| s["service"] == service).unwrap()["changes"].clone()
    };
    let app = changes("app").to_string();
    for words in ["files of its build changed", "environment APP_VERSION changed", "secret `token` changed"] {
        assert!(app.contains(words), "{app}");
    }
    assert_eq!(changes("proxy"), serde_json::json!(["route /two/ is new"]));

    site.run(&["rollback", "--check"], &two).ends(0).says("release 1 can be done again").says("image");
    site.docker(&["image", "prune", "-f"]);
    // The tag of the build is gone, too: the release's own holds it.
    site.docker(&[
        "rmi",
        &data(&site, &["--json", "releases", "1"], &two)["images"]
            .as_object()
            .unwrap()
            .keys()
            .find(|k| k.starts_with(NAME))
            .unwrap()
            .clone(),
    ]);
    let visitor = Visitor::of(&site);
    let said = site.run(&["rollback", "--no-verify"], &two).ends(0).says("this is release 1 again");
    let asked = visitor.was_always_served();
    said.says("visitors meanwhile: 0 of");
    assert_eq!(facts(&site), first, "image, configuration, secret, routes and limits");
    assert!(site.get("/health").unwrap().1.contains("\"version\":\"1\""));
    site.run(&["diff", "1"], &one).ends(0).says("releases 1 and 4 are the same");
    println!("rollback: {asked} requests, none failed");

    site.run(&["releases"], &one).ends(0).says("back to 1").says("runs");
    site.run(&["audit"], &one).ends(0).says("rollback to 1 (release 4)").says("up (release 3)").says("failed");
    site.run(&["rollback", "3"], &one).ends(5).says("nothing to go back to");
    site.run(&["rollback", "99"], &one).ends(1).says("kept are 1, 2, 3, 4");
    // And forward again, from the file, which never changed.
    site.run(&["up", "--yes", "--no-verify"], &two).ends(0);
    assert_eq!(facts(&site).2, "second-token");
}
