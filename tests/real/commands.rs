//! Commands in containers and around them, as people use them by hand and in scripts.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{Said, Site, Visitor, said, slim};

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// How a command ended, in at most this time.
#[track_caller]
fn ends_within(mut child: Child, seconds: u64) -> Said {
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(seconds) {
            child.kill().unwrap();
            panic!("still there after {seconds} s: {:?}", said(&child.wait_with_output().unwrap()).err);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    said(&child.wait_with_output().unwrap())
}

fn spawn(site: &Site, args: &[&str]) -> Child {
    site.command(args, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap()
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "not in 20 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn commands_run_in_containers() {
    let stack = slim("t-commands", 18160).replace("replicas    = 3", "replicas    = 2");
    let site = Site::new(&stack, "t-commands", 18160);
    site.run(&["exec", "app", "true"], &[]).ends(1).says("stackctl up");
    site.up("1");
    exec_passes_everything_on(&site);
    run_is_a_container_of_its_own(&site);
    signals_are_passed_on(&site);
    a_terminal_works(&site);
    what_runs_is_seen_and_changed(&site);
    // What one-off commands leave goes with the stack.
    site.run(&["run", "app", "true"], &[]).ends(0);
    assert!(site.list("containers").iter().any(|name| name.starts_with("t-commands-app-run-")));
    site.nothing_to_do("1");
    site.run(&["down", "--volumes", "--yes"], &[]).ends(0);
    assert_eq!(site.list("containers"), Vec::<String>::new());
}

fn exec_passes_everything_on(site: &Site) {
    let ended = site.run(&["exec", "app", "sh", "-c", "echo out; echo err >&2; exit 7"], &[]).ends(7);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("out\n", "err\n"));
    site.run(&["exec", "app", "no-such-program"], &[]).ends(127).says("no-such-program");
    site.run(&["exec", "ap", "true"], &[]).ends(1).says("did you mean `app`?");
    site.run(&["exec", "--index", "3", "app", "true"], &[]).ends(1).says("with the number 3");
    assert_eq!(site.run(&["exec", "--index", "2", "app", "hostname"], &[]).ends(0).out, "app-2\n");
    let ended =
        site.run(&["exec", "-e", "X=1", "-w", "/tmp", "-it", "app", "sh", "-c", "echo $X $PWD $APP_VERSION"], &[]);
    assert_eq!(ended.ends(0).out, "1 /tmp 1\n");
    // Bytes of all kinds, more than fits into any buffer on the way, both ways at once.
    let sent: Vec<u8> = (0..3_000_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let mut child = spawn(site, &["exec", "-T", "app", "cat"]);
    let mut stdin = child.stdin.take().unwrap();
    let bytes = sent.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == sent, "{} of {} bytes came back", output.stdout.len(), sent.len());
    // The reader of a pipe may go away.
    let line = Command::new("sh")
        .args(["-c", r#""$0" exec app sh -c 'while echo x; do :; done' | head -n 1"#, env!("CARGO_BIN_EXE_stackctl")])
        .current_dir(site.folder())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(said(&line).out, "x\n");
}

fn run_is_a_container_of_its_own(site: &Site) {
    let before = site.list("containers");
    let ended = site.run(&["run", "--rm", "-e", "EXTRA=e", "app", "sh", "-c", "echo $APP_VERSION$EXTRA; exit 3"], &[]);
    assert_eq!(ended.ends(3).out, "1e\n");
    site.run(&["run", "--rm", "app", "no-such-program"], &[]).ends(127).says("no-such-program");
    site.run(&["run", "app", "no-such-program"], &[]).ends(127);
    assert_eq!(site.list("containers"), before, "nothing is left of any of them");
    // It reaches what the service reaches, nobody reaches it, and the front door goes on.
    let script = "import socket; print(socket.gethostbyname('app') != socket.gethostbyname(socket.gethostname()))";
    assert_eq!(site.run(&["run", "--rm", "app", "python3", "-c", script], &[]).ends(0).out, "True\n");
    let name = site.run(&["run", "-d", "--name", "t-commands-job", "app", "sleep", "60"], &[]).ends(0).out;
    assert_eq!(name, "t-commands-job\n");
    site.up("1");
    assert!(site.docker(&["ps", "--format", "{{.Names}}"]).contains("t-commands-job"), "`up` leaves it alone");
    site.docker(&["rm", "-f", "t-commands-job"]);
}

fn signals_are_passed_on(site: &Site) {
    let script = "trap 'echo stopping; exit 9' INT; echo ready; while :; do sleep 0.1; done";
    for args in [["run", "--rm", "app"], ["exec", "-T", "app"]] {
        let child = spawn(site, &[&args, ["sh", "-c", script].as_slice()].concat());
        std::thread::sleep(Duration::from_millis(2500));
        signal(&child, "INT");
        ends_within(child, 10).ends(9).says("ready stopping");
    }
    let stubborn = "trap '' INT; echo ready; while :; do sleep 0.1; done";
    for args in [["run", "--rm", "app"], ["exec", "-T", "app"]] {
        let child = spawn(site, &[&args, ["sh", "-c", stubborn].as_slice()].concat());
        std::thread::sleep(Duration::from_millis(2500));
        signal(&child, "INT");
        std::thread::sleep(Duration::from_millis(800));
        signal(&child, "INT");
        ends_within(child, 5).ends(130);
    }
    until("no process is left", || !site.docker(&["top", "t-commands-app-1", "-o", "pid,args"]).contains("trap"));
    assert_eq!(site.list("containers").iter().filter(|n| n.contains("-run-")).count(), 0);
}

/// A terminal multiplexer of its own, and what its screen shows.
pub(crate) struct Screen(String);

impl Screen {
    pub(crate) fn open(site: &Site, command: &str) -> Self {
        // A server that ends takes a moment, and its name with it.
        let screen = Self(format!("stackctl-{}-{}", std::process::id(), command.len()));
        let folder = site.folder().display().to_string();
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "91", "-y", "31", "-c", &folder, command]);
        screen
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.0]).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn types(&self, keys: &[&str]) {
        self.tmux(&[["send-keys"].as_slice(), keys].concat());
    }

    /// All that was on the screen, also what has left it.
    pub(crate) fn all(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-S", "-"])
    }

    #[track_caller]
    pub(crate) fn shows(&self, words: &str) {
        let begin = Instant::now();
        loop {
            let text = self.tmux(&["capture-pane", "-p"]);
            if text.contains(words) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "`{words}` is not on:\n{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn a_terminal_works(site: &Site) {
    for command in ["run -it --rm app", "exec app"] {
        let binary = env!("CARGO_BIN_EXE_stackctl");
        let script =
            format!("PS1=; stty size; {binary} {command} bash --norc; echo \"code=$?\"; stty -a | head -3; sleep 60");
        let screen = Screen::open(site, &format!("sh -c '{}'", script.replace('\'', "'\\''")));
        screen.types(&["echo a$((20+3))b; test -t 0 && stty size", "Enter"]);
        screen.shows("a23b");
        screen.shows("31 91");
        screen.tmux(&["set-option", "-g", "window-size", "manual"]);
        screen.tmux(&["resize-window", "-x", "77", "-y", "25"]);
        std::thread::sleep(Duration::from_millis(700));
        screen.types(&["clear; stty size", "Enter"]);
        screen.shows("25 77");
        // Ctrl-C ends what runs in the shell, not the shell.
        screen.types(&["sleep 100", "Enter"]);
        std::thread::sleep(Duration::from_millis(500));
        screen.types(&["C-c", ""]);
        screen.types(&["echo still $((40+2))", "Enter"]);
        screen.shows("still 42");
        screen.types(&["exit 5", "Enter"]);
        screen.shows("code=5");
    }
}

fn what_runs_is_seen_and_changed(site: &Site) {
    let stats = site.run(&["stats", "--json"], &[]).ends(0).out;
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    let rows = stats["containers"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|r| r["container"].as_str().unwrap()).collect();
    assert_eq!(names, ["app-1", "app-2", "proxy-1"]);
    assert_eq!(rows[0]["usage"]["memory_limit"], 128 << 20);
    assert!(rows[0]["usage"]["memory"].as_u64().unwrap() > 1 << 20, "{stats}");
    site.run(&["stats", "app"], &[]).ends(0).says("128.0 MB");

    // Followed over a restart and more replicas: whoever starts later is heard, too.
    let mut follow = spawn(site, &["logs", "-f", "-n", "0", "app"]);
    let visitor = Visitor::of(site);
    site.run(&["restart", "app"], &[]).ends(0).says("app-2 is back").says("2 containers restarted");
    visitor.was_always_served();
    site.run(&["restart", "nothing"], &[]).ends(1);
    let scale = ["scale", "app=3", "--yes", "--no-verify"];
    site.run(&scale, &[("APP_VERSION", "1")]).ends(0).says("the next `up` goes back to that");
    assert!(site.list("containers").contains(&"t-commands-app-3".to_owned()));
    site.run(&["scale", "app=41"], &[]).ends(2).says("at most 40");
    site.run(&["scale", "app"], &[]).ends(2).says("app=3");
    std::thread::sleep(Duration::from_millis(500));
    signal(&follow, "INT");
    drop(follow.stdin.take());
    let followed = ends_within(follow, 5).ends(130);
    assert_eq!(followed.err, "", "to stop looking is no error");
    for name in ["app-1", "app-2", "app-3"] {
        assert!(followed.out.contains(&format!("{name} |")), "{name} is not in:\n{}", followed.out);
    }
    site.up("1");

    let lines = site.run(&["logs", "--json", "--tail", "all", "--grep", "GET /health"], &[]).ends(0).out;
    let times: Vec<String> = lines
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["time"].as_str().unwrap().to_owned())
        .collect();
    assert!(times.len() > 3 && times.is_sorted(), "{} lines", times.len());
    let plain = site.run(&["logs", "--no-prefix", "--tail", "3", "proxy"], &[]).ends(0).out;
    assert!(plain.lines().count() <= 3 && !plain.contains("proxy-1 |"), "{plain}");
}
