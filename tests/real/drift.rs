//! What somebody changed by hand: named field by field, mended, and nothing else is touched.

use super::second::mirror;
use super::support::{Site, Visitor};

const VERSION: &[(&str, &str)] = &[("APP_VERSION", "2")];

/// On a stack of three replicas with a generated secret `key`, deployed as version 2.
pub(crate) fn by_hand(site: &Site) {
    let name = &site.name;
    let of = |service: &str| format!("{name}-{service}");
    let inspect = |format: &str, container: &str| site.docker(&["inspect", "-f", format, container]).trim().to_owned();
    let ids = || -> Vec<String> {
        ["app-1", "app-2", "app-3", "proxy-1"].iter().map(|c| inspect("{{.Id}}", &of(c))).collect()
    };
    let before = ids();
    site.run(&["status", "--drift", "--exit-code"], VERSION).ends(0).says("nothing was changed by hand");

    // Limits, a network that is not ours, a pause, a name, a file.
    let other = of("not-ours");
    site.docker(&["network", "create", &other]);
    site.docker(&["update", "--memory", "256m", "--memory-swap", "512m", &of("app-1")]);
    site.docker(&["network", "connect", &other, &of("app-2")]);
    site.docker(&["pause", &of("app-3")]);
    site.docker(&["rename", &of("app-1"), &of("somebody")]);
    let volume = site.list("volume").into_iter().find(|v| v.contains("_app-files-")).unwrap();
    let image = format!("{}/library/debian:trixie-slim", mirror());
    let at = format!("{volume}:/v");
    site.docker(&["run", "--rm", "-v", &at, &image, "sh", "-c", "echo of-somebody-else > /v/key"]);

    let told = [
        "memory 128M → 256M".to_owned(),
        format!("it should be called {}", of("app-1")),
        format!("joins network {other}"),
        "it is paused".to_owned(),
        "file key changed".to_owned(),
    ];
    let mut said = site.run(&["status", "--drift", "--exit-code"], VERSION).ends(3);
    for words in &told {
        said = said.says(words);
    }
    // Without files, they are not read.
    let plan = site.run(&["plan", "--exit-code"], VERSION).ends(3).says("changed by hand: memory 128M → 256M").out;
    assert!(!plan.contains("file key"), "{plan}");
    site.run(&["up", "--drift", "--yes", "--no-verify"], VERSION).ends(0);
    site.run(&["status", "--drift"], VERSION).ends(0).says("nothing was changed by hand");
    assert_eq!(ids(), before, "nothing was made anew");
    assert_eq!(inspect("{{.HostConfig.Memory}}", &of("app-1")), (128 << 20).to_string());
    assert!(!inspect("{{json .NetworkSettings.Networks}}", &of("app-2")).contains(&other));
    assert_eq!(inspect("{{.State.Status}}", &of("app-3")), "running");
    let key = site.docker(&["run", "--rm", "-v", &at, &image, "cat", "/v/key"]);
    assert!(!key.is_empty() && !key.contains("somebody"), "the file is as it was written");
    site.docker(&["network", "rm", &other]);
    assert_eq!(site.run(&["status"], VERSION).ends(0).out.matches("Up ").count(), 4);

    // Made again by somebody, with our labels and more rights.
    recreate(site, &of("app-3"));
    site.run(&["plan"], VERSION).ends(0).says("changed by hand:");
    let mut said = site.run(&["status", "--drift"], VERSION).ends(0);
    for words in ["user 10001 → 0", "memory no longer set (was 128M)", "security_opt no longer set", "log options"] {
        said = said.says(words);
    }
    let visitor = Visitor::of(site);
    site.up("2");
    visitor.was_always_served();
    assert_eq!(inspect("{{.Config.User}}", &of("app-3")), "10001");
    site.nothing_to_do("2");
}

/// The same container by name, image, labels and address, run as root and without limits.
fn recreate(site: &Site, container: &str) {
    let facts: serde_json::Value = serde_json::from_str(&site.docker(&["inspect", container])).unwrap();
    let config = &facts[0]["Config"];
    let network = facts[0]["HostConfig"]["NetworkMode"].as_str().unwrap();
    let address = facts[0]["NetworkSettings"]["Networks"][network]["IPAddress"].as_str().unwrap();
    let mut args = ["run", "-d", "--name", container, "--user", "0", "--network", network, "--ip", address]
        .map(str::to_owned)
        .to_vec();
    for (name, value) in config["Labels"].as_object().unwrap() {
        args.extend(["--label".to_owned(), format!("{name}={}", value.as_str().unwrap())]);
    }
    args.push(config["Image"].as_str().unwrap().to_owned());
    site.docker(&["rm", "-f", container]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert!(!site.docker(&args).is_empty(), "{container} cannot be made by hand");
}
