//! The engine ends under a stack: restarted, crashed, or with the whole machine. The stack comes back by itself.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::second::{Engine, mirror};
use super::support::{Site, root, slim, turn};

#[test]
fn a_stack_comes_back_with_its_engine() {
    let turn = turn();
    let mut engine = Engine::new();
    let image = build_app();
    engine.start();
    engine.load(&[&image, "nginx:1.30", "postgres:15", "prom/prometheus:v2.53.3"]);

    let stack = |rate: &str| {
        slim("t-reboot", 18151)
            .replace(
                &format!("build       = \"{}\"", root().join("tests/sample-app").display()),
                "image = \"t-reboot:1\"",
            )
            .replace("#EXTRA", "pre_deploy = [\"python3\", \"-m\", \"app.migrate\"]")
            .replace("[proxy]", "DATABASE_URL_FILE = \"${postgres.url.file}\"\n\n[proxy]")
            .replace("[routes]", &format!("limit = {{ rate = \"{rate}/s\", burst = 1000 }}\n\n[routes]"))
            + "\"/health/\" = \"other\"\n"
            + "[services.other]\nlike = \"app\"\nport = 8000\nreplicas = 2\nhealthcheck = \"/health\"\n"
            + "[services.other.environment]\nAPP_VERSION = \"other\"\n"
            + "[services.postgres]\npreset = \"postgres:15\"\nmemory = \"128M\"\n"
            + "[services.prometheus]\npreset = \"prometheus:v2.53.3\"\nmemory = \"128M\"\n"
    };
    let site = Site::on(Some(engine.elsewhere()), Some(turn), &stack("1000"), "t-reboot", 18151);
    site.up("1");
    // From its first reload on, the engine takes the front door for stopped by hand.
    site.write(&stack("1001"));
    site.up("1");
    let names = site.list("containers");
    assert_eq!(names.len(), 9, "{names:?}");

    is_whole(&site, &engine, "before");
    engine.restart();
    is_whole(&site, &engine, "after a restart of the engine");
    engine.crash();
    is_whole(&site, &engine, "after a crash of the engine");
    engine.power_cut();
    is_whole(&site, &engine, "after a power cut");
    assert_eq!(site.list("containers"), names);
    // Nothing of it is a state that a deploy cannot go on from.
    site.up("2");
    is_served(&engine, "after the next release", "2");
}

/// Everything runs, each upstream reaches its own service, and the plan is empty.
#[track_caller]
fn is_whole(site: &Site, engine: &Engine, when: &str) {
    is_served(engine, when, "1");
    let said = site.run(&["plan", "--exit-code"], &[("APP_VERSION", "1")]);
    assert_eq!(said.code, 0, "{when}: {}{}", said.out, said.err);
    let states = site.docker(&["ps", "-a", "--filter", "label=stackctl.project=t-reboot", "--format", "{{.State}}"]);
    assert_eq!(states.lines().filter(|s| *s != "running").count(), 0, "{when}: {states}");
}

#[track_caller]
fn is_served(engine: &Engine, when: &str, version: &str) {
    let begin = Instant::now();
    // A replica that is not back yet is passed over: each of the three must have answered.
    let mut last = String::new();
    let mut replicas = std::collections::BTreeSet::new();
    while begin.elapsed() < Duration::from_secs(90) {
        let home = engine.get(18151, "/");
        let other = engine.get(18151, "/health/ready");
        if let (Some(home), Some(other)) = (&home, &other) {
            assert!(home.contains(&format!("\"version\":\"{version}\"")), "{when}: {home}");
            assert!(other.contains("\"version\":\"other\""), "{when}: {other}");
            let name = home.split("\"replica\":\"").nth(1).and_then(|r| r.split('"').next()).unwrap_or_default();
            assert!(name.starts_with("app-"), "{when}: {home}");
            replicas.insert(name.to_owned());
        }
        if replicas.len() == 3 {
            println!("{when}: whole after {:.1} s", begin.elapsed().as_secs_f64());
            return;
        }
        last = format!("{home:?} {other:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let containers =
        engine.docker(&["ps", "-a", "--format", "{{.Names}} {{.Status}}"]).stdout(Stdio::piped()).output().unwrap();
    let containers = String::from_utf8_lossy(&containers.stdout).into_owned();
    panic!("{when}: {replicas:?} answered in 90 s, last {last}\n{containers}");
}

/// The sample app's image, under a name that the mirror's prefix leads to.
pub(crate) fn build_app() -> String {
    let mirror = mirror();
    let name = "t-reboot:1".to_owned();
    let sample = root().join("tests/sample-app");
    // By BuildKit, as stackctl builds, so that its cache serves: the client would need a plugin for that.
    let query = format!(
        "version=2&t={mirror}/library/{name}&buildargs=%7B%22STACKCTL_REGISTRY_MIRROR%22%3A%22{mirror}%2Flibrary%2F%22%7D"
    );
    let script = format!(
        "tar -C {} -c . | curl -sS --unix-socket /var/run/docker.sock -H 'Content-Type: application/x-tar' \
         --data-binary @- 'http://engine/build?{query}'",
        sample.display()
    );
    let built = Command::new("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&built.stdout);
    assert!(said.contains("Successfully tagged"), "{said}{}", String::from_utf8_lossy(&built.stderr));
    name
}
