//! Plain `docker compose` on a stack of ours.

use std::process::Command;

use super::support::{Site, root, said, slim};

#[test]
fn compose_sees_the_stack_and_takes_it_down() {
    let site = Site::new(&slim("t-comp", 18121), "t-comp", 18121);
    site.up("1");
    let compose = |args: &[&str]| {
        let binary = root().join("target/tools/compose-2.26/docker-compose");
        assert!(binary.exists(), "docker compose 2.26 is not there; `make tools` fetches it");
        said(&Command::new(binary).args(["-p", "t-comp"]).args(args).current_dir(site.folder()).output().unwrap())
    };
    let ps = compose(&["ps", "--format", "{{.Name}} {{.Service}}"]).ends(0);
    for line in ["t-comp-app-1 app", "t-comp-app-3 app", "t-comp-proxy-1 proxy"] {
        assert!(ps.out.contains(line), "{}", ps.out);
    }
    assert!(!ps.out.contains("t-comp-stackctl"), "our own carrier is not the stack's: {}", ps.out);
    compose(&["logs", "--tail", "3", "app"]).ends(0).says("app-1");
    compose(&["down"]).ends(0);
    assert_eq!(site.list("containers"), ["t-comp-stackctl"], "the state stays");
    assert_eq!(site.list("network"), Vec::<String>::new());
    // And back.
    site.up("1");
    assert_eq!(site.get("/health").unwrap().0, 200);
}

#[test]
fn what_render_writes_is_accepted_by_compose_and_nginx_comes_with_it() {
    let site = Site::new(&slim("t-rend", 18122), "t-rend", 18122);
    site.run(&["render", "out"], &[]).ends(0).says("compose.yaml");
    let binary = root().join("target/tools/compose-2.26/docker-compose");
    let file = site.folder().join("out/compose.yaml");
    let config = Command::new(binary).arg("-f").arg(&file).args(["config", "-q"]).output().unwrap();
    said(&config).ends(0);
    std::fs::write(&file, "services: [1").unwrap();
    let binary = root().join("target/tools/compose-2.26/docker-compose");
    let broken = Command::new(binary).arg("-f").arg(&file).args(["config", "-q"]).output().unwrap();
    assert_ne!(said(&broken).code, 0, "a broken file is refused: the check above can fail");
}
