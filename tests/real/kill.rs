//! `kill -9` at random moments.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::support::{Random, Site, Visitor, budget, seed, slim, soak};

#[test]
fn killed_anywhere_it_serves_and_the_next_run_finishes() {
    let mut random = Random(seed());
    let site = Site::new(&slim("t-kill", 18101), "t-kill", 18101);
    site.up("0");
    let names = site.list("containers");
    let begin = Instant::now();
    site.up("1");
    let whole = u64::try_from(begin.elapsed().as_millis()).unwrap();
    let volumes = site.list("volume").len();
    let kills = if soak() { 20 } else { 3 };
    let mut version = 1;
    let all = Instant::now();
    for round in 0..kills {
        // Six at least, whatever the budget: fewer say nothing.
        if round >= 6 && all.elapsed().as_secs() > budget() * 4 / 10 {
            println!("{round} of {kills} kills in the time there was");
            break;
        }
        version += 1;
        let wanted = version.to_string();
        let moment = Duration::from_millis(random.below(whole + 300));
        let visitor = Visitor::of(&site);
        let mut child = site
            .command(&["up", "--yes", "--no-verify"], &[("APP_VERSION", &wanted)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let locks = site.docker(&[
            "ps",
            "-q",
            "--filter",
            "label=stackctl.role=lock",
            "--filter",
            "label=stackctl.project=t-kill",
        ]);
        assert_eq!(locks.trim(), "", "round {round}: the lock is held a second after {moment:?}");
        // Every other time somebody wants something else by then.
        if random.below(2) == 0 {
            version += 1;
        }
        let wanted = version.to_string();
        site.up(&wanted);
        let asked = visitor.was_always_served();
        site.nothing_to_do(&wanted);
        assert_eq!(site.list("containers"), names, "round {round}: killed at {moment:?}");
        assert_eq!(site.list("volume").len(), volumes, "round {round}: {:?}", site.list("volume"));
        assert!(site.get("/health").unwrap().1.contains(&format!("\"version\":\"{wanted}\"")));
        println!("killed at {moment:?} of {whole} ms: {asked} requests, none failed");
    }
}

#[test]
fn killed_after_each_kind_of_step_it_serves_and_the_next_run_finishes() {
    let rate = |n: u32| {
        slim("t-killat", 18103)
            .replace("\n[routes]", &format!("\nlimit = {{ rate = \"{n}/s\", burst = 500 }}\n\n[routes]"))
    };
    let site = Site::new(&rate(100), "t-killat", 18103);
    site.up("0");
    let (names, volumes) = (site.list("containers"), site.list("volume").len());
    for (step, number) in
        ["create", "start", "write", "record", "switch", "reload", "stop", "remove", "rename"].iter().zip(101..)
    {
        // Other containers, and another limit that the front door has to load.
        site.write(&rate(number));
        let version = number.to_string();
        let visitor = Visitor::of(&site);
        let up = ["up", "--yes", "--no-verify"];
        let killed = site.killed_at(&up, &[("APP_VERSION", &version)], &format!("done  {step} "));
        assert!(killed.is_some(), "no `{step}` was done, or it was the last thing");
        // The lock goes with whoever held it.
        std::thread::sleep(Duration::from_secs(1));
        site.up(&version);
        let asked = visitor.was_always_served();
        site.nothing_to_do(&version);
        assert_eq!(site.list("containers"), names, "{step}");
        assert_eq!(site.list("volume").len(), volumes, "{step}: {:?}", site.list("volume"));
        assert!(site.get("/health").unwrap().1.contains(&format!("\"version\":\"{version}\"")), "{step}");
        println!("killed after `{step}`: {asked} requests, none failed");
    }
}

#[test]
fn an_interrupted_run_takes_back_what_it_began() {
    let site = Site::new(&slim("t-int", 18102), "t-int", 18102);
    site.up("1");
    let names = site.list("containers");
    let child = site
        .command(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2"), ("FAULT", "unhealthy")])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(4));
    let pid = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(site.list("containers"), names);
    site.nothing_to_do("1");
}
