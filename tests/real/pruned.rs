//! `docker system prune -a` between a release and the way back to it: held images survive, others are missed in words.

use super::second::Engine;
use super::support::{Site, root, slim, turn};

const NAME: &str = "t-pruned";
const PORT: u16 = 18291;

#[test]
fn what_is_held_survives_a_prune_of_everything() {
    let turn = turn();
    let mut engine = Engine::new();
    // The base of what is built there.
    engine.start();
    engine.load(&["nginx:1.30"]);
    let base = super::reboot::build_app();
    engine.load(&[&base]);
    let stack = |hold: u32, more: &str| {
        let sample = root().join("tests/sample-app").display().to_string();
        format!("hold_images = {hold}\n") + &slim(NAME, PORT).replace(&sample, "app") + more
    };
    let more = "\"/two/\" = { service = \"app\", limit = { rate = \"7/s\", burst = 3 } }\n[services.prometheus]\npreset = \"prometheus:v2.53.3\"\nmemory = \"128M\"\n[secrets]\ntoken = { env = \"TOKEN\" }\n";
    let with_secret =
        |text: String| text.replacen("APP_VERSION =", "TOKEN_FILE  = \"${secrets.token.file}\"\nAPP_VERSION =", 1);
    let rules = |interval: &str| more.replace("[secrets]", &format!("retention = \"{interval}\"\n[secrets]"));
    engine.load(&["prom/prometheus:v2.53.3"]);
    let site = Site::on(Some(engine.elsewhere()), Some(turn), &with_secret(stack(2, &rules("15d"))), NAME, PORT);
    std::fs::create_dir_all(site.folder().join("app")).unwrap();
    let dockerfile = |text: &str| {
        let from = format!("FROM {}/library/{base}\nLABEL change=\"{text}\"\n", super::second::mirror());
        std::fs::write(site.folder().join("app/Dockerfile"), from).unwrap();
    };
    let one = [("APP_VERSION", "1"), ("TOKEN", "first-token")];
    let two = [("APP_VERSION", "2"), ("TOKEN", "second-token")];
    dockerfile("one");
    site.run(&["up", "--yes", "--no-verify"], &one).ends(0);
    let facts = || {
        let app = format!("{NAME}-app-1");
        let image = site.docker(&["inspect", "-f", "{{.Image}}", &app]);
        let config = site.docker(&["inspect", "-f", "{{index .Config.Labels \"stackctl.config\"}}", &app]);
        let secret = site.docker(&["exec", &app, "cat", "/run/secrets/token"]);
        let door = site.docker(&["exec", &format!("{NAME}-proxy-1"), "cat", "/run/stackctl/current/nginx.conf"]);
        let mut rules: Vec<String> = door.lines().filter(|l| l.contains("limit_req")).map(str::to_owned).collect();
        rules.sort();
        let prometheus = site.docker(&[
            "inspect",
            "-f",
            "{{index .Config.Labels \"stackctl.config\"}}",
            &format!("{NAME}-prometheus-1"),
        ]);
        (image, config, secret, rules, prometheus)
    };
    let first = facts();
    assert_eq!(first.2, "first-token");
    dockerfile("two");
    site.write(&with_secret(stack(2, &rules("9d").replace("7/s", "9/s"))));
    site.run(&["up", "--yes", "--no-verify"], &two).ends(0);
    assert!(first.0 != facts().0 && first.1 != facts().1 && first.2 != facts().2 && first.3 != facts().3);
    let holds = || site.list("containers").into_iter().filter(|n| n.contains("-hold-")).collect::<Vec<_>>();
    assert_eq!(holds().len(), 1, "{:?}", site.list("containers"));

    site.docker(&["system", "prune", "--all", "--force"]);
    let left = site.docker(&["image", "ls", "--no-trunc", "--quiet", "--all"]);
    assert!(left.contains(first.0.trim()), "{}", site.docker(&["image", "ls", "--all"]));
    site.run(&["rollback", "--check"], &two)
        .ends(0)
        .says("release 1 can be done again: its record and its images are there");
    let said = site.run(&["rollback", "--yes", "--no-verify"], &two).ends(0).says("this is release 1 again");
    said.says("visitors meanwhile: 0 of");
    assert_eq!(facts(), first, "image, configuration, secret, limits, rules");
    assert!(engine.get(PORT, "/health").unwrap().contains("\"version\":\"1\""));

    // Held no longer: what was built here is gone after the same, and that is said before anything is done.
    site.write(&with_secret(stack(0, &rules("9d"))));
    // The prune took the name of the base, too.
    engine.load(&[&base]);
    dockerfile("three");
    site.run(&["up", "--yes", "--no-verify"], &two).ends(0);
    assert_eq!(holds(), Vec::<String>::new());
    site.docker(&["system", "prune", "--all", "--force"]);
    let said = site.run(&["rollback", "--check", "1"], &two).ends(1);
    said.says("release 1 cannot be done again").says("built here, is gone").says("hold_images");
    assert!(engine.get(PORT, "/health").unwrap().contains("\"version\":\"2\""));
}
