//! Hooks on a real engine: what they are told, what their failure does, and that a killed run's hook is not forgotten.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::support::{Site, slim};

const NAME: &str = "t-hooks";

fn stack() -> String {
    let hook = |what: &str| {
        format!(
            "[\"sh\", \"-c\", 'sleep ${{SLEEP:-0}}; echo \"{what} $STACKCTL_RELEASE after [$STACKCTL_PREVIOUS_RELEASE] $STACKCTL_RESULT $STACKCTL_CAUSE\" >> /notes/said; exit ${{HOOK:-0}}']"
        )
    };
    // Root without capabilities owns the volume's folder, and so may write there.
    slim(NAME, 18343)
        .replace("replicas    = 3", "replicas    = 1\ndrain       = \"1s\"\nvolumes     = [\"notes:/notes\"]")
        .replace("user        = \"10001\"", "user        = \"0\"")
        .replace("#EXTRA", &format!("post_deploy = {}\non_failure = {}", hook("post"), hook("failure")))
}

fn said(site: &Site) -> Vec<String> {
    let text = site.docker(&["exec", &format!("{NAME}-app-1"), "cat", "/notes/said"]);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn hooks_are_told_of_the_release_and_never_forgotten() {
    let site = Site::new(&stack(), NAME, 18343);
    let up = |env: &[(&str, &str)]| site.run(&["up", "--yes", "--no-verify"], env);
    let version = |v: &str| assert!(site.get("/health").unwrap().1.contains(&format!("\"version\":\"{v}\"")), "{v}");

    site.run(&["plan"], &[("APP_VERSION", "1")]).ends(0).says("run t-hooks-app-post-deploy").says("if it fails: sh -c");
    up(&[("APP_VERSION", "1")]).ends(0);
    assert_eq!(said(&site), ["post 1 after [] done "]);
    up(&[("APP_VERSION", "1")]).ends(0).says("0 steps");

    // One that fails: the release is out and stays; the next run owes the hook, and nothing else.
    let failed = up(&[("APP_VERSION", "2"), ("HOOK", "3")]).ends(1);
    failed.says("of app exited with 3").says("the release stays").says("release 2:");
    version("2");
    site.run(&["releases"], &[]).ends(0).says("exited with 3");
    up(&[("APP_VERSION", "2")]).ends(0).says("release 3: 2 steps");
    assert_eq!(said(&site).last().map(String::as_str), Some("post 3 after [2] done "));
    site.nothing_to_do("2");

    // A release that fails: the hook runs beside what serves, and is told why.
    up(&[("APP_VERSION", "4"), ("FAULT", "unhealthy"), ("START", "4s")])
        .ends(1)
        .says("`on_failure` of app has run")
        .says("still serves");
    let told = said(&site).pop().unwrap();
    assert!(told.starts_with("failure 4 after [3] failed ") && told.contains("not ready after 4s"), "{told}");
    let asked = up(&[("APP_VERSION", "4"), ("FAULT", "unhealthy"), ("START", "4s"), ("HOOK", "7")]);
    asked.ends(1).says("`on_failure` of app exited with 7");
    version("2");

    // Killed while the hook runs: it has the traffic, and the next run begins with the hook again.
    let mut child = site
        .command(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "5"), ("SLEEP", "60")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !site.list("containers").contains(&format!("{NAME}-app-post-deploy")) {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", site.list("containers"));
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    version("5");
    // The command is part of the stack and not of the container: a mended one runs instead.
    up(&[("APP_VERSION", "5")]).ends(0).says("t-hooks-app-post-deploy");
    assert!(said(&site).last().is_some_and(|line| line.starts_with("post ")), "{:?}", said(&site));
    site.nothing_to_do("5");
    assert!(!site.list("containers").iter().any(|c| c.contains("post-deploy") || c.contains("on-failure")));

    // Going back turns no data back, and runs no hook.
    let before = said(&site);
    site.run(&["rollback", "--no-verify"], &[]).ends(0);
    assert_eq!(said(&site), before);
}
