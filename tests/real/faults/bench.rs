//! The healthy stack, broken and mended.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::support::{Site, root, said};
use super::fault::{Asks, Fault, Lane, Replaced};
use super::hand::{Hand, certificate, docker, each, inspect, replace};
use super::report::{Verdicts, Worse, verdicts, worse};

/// What the stack gets from outside.
const ENV: [(&str, &str); 2] = [("APP_VERSION", "1"), ("GIVEN", "a-long-word-Nobody-guesses-7")];
/// Longest wait until a fault is gone.
const MENDED: Duration = Duration::from_secs(45);
/// Longest wait until it shows, where it need not show at once: what Prometheus sees is not judged while a container is
/// young (MON-1).
const SHOWS: Duration = Duration::from_secs(40);
/// Time between two looks.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) struct Bench {
    lane: Lane,
    // Goes before the site: it holds volumes of it.
    hand: Hand,
    site: Site,
    toml: String,
    /// Verdicts of the healthy stack.
    healthy: HashMap<Asks, Verdicts>,
    /// Files that a fault has changed, as they were.
    changed: BTreeMap<String, String>,
    /// The front door has loaded something else since.
    edited: bool,
    /// A container that was made anew, and how it was.
    replaced: Option<(String, Value)>,
    /// What the stack gets from outside, if not what it should.
    given: BTreeMap<String, String>,
    /// Names that faults use.
    names: [(&'static str, String); 5],
}

fn names(hand: &Hand, lane: Lane) -> [(&'static str, String); 5] {
    let of = |container: &str, format: &str| docker(&["inspect", "-f", format, &lane.own(container)]).trim().to_owned();
    let door = hand.read("/door/current/nginx.conf");
    let zone = door.split_once("zone=rate_").and_then(|(_, rest)| rest.split_once(':')).map(|(name, _)| name);
    let files = "{{range .Mounts}}{{if eq .Destination \"/run/secrets\"}}{{.Name}}{{end}}{{end}}";
    [
        ("APP_IMAGE", of("t-fault-app-1", "{{.Config.Image}}")),
        ("APP_ID", of("t-fault-app-1", "{{.Image}}")),
        ("REDIS_IMAGE", of("t-fault-redis-1", "{{.Config.Image}}")),
        ("RATE_ZONE", format!("rate_{}", zone.unwrap())),
        ("WORKER_FILES", of("t-fault-worker-1", files)),
    ]
}

impl Bench {
    pub(super) fn new(lane: Lane) -> Self {
        let sample = root().join("tests/sample-app");
        let toml = lane.own(include_str!("stack.toml")).replace("SAMPLE", &sample.display().to_string());
        let site = Site::new(&toml, lane.name, lane.port);
        site.run(&["up", "--yes", "--no-verify"], &ENV).ends(0);
        let items = "insert into items (name) select 'item ' || i from generate_series(1, 40) i";
        let psql = ["exec", "t-fault-postgres-1", "psql", "-U", "t_fault", "-d", "t_fault", "-qc", items];
        each(&[psql.map(|word| lane.own(word))]);
        let hand = Hand::new(lane.name);
        let names = names(&hand, lane);
        let mut bench = Self {
            lane,
            hand,
            site,
            toml,
            healthy: HashMap::new(),
            changed: BTreeMap::new(),
            edited: false,
            replaced: None,
            given: BTreeMap::new(),
            names,
        };
        // What Prometheus sees shall be there at once.
        let slow = ["scrape_interval: 15s", "scrape_timeout: 10s", "evaluation_interval: 15s"];
        let quick = slow.map(|line| {
            let (name, _) = line.split_once(' ').unwrap();
            ["prometheus.yml".to_owned(), line.to_owned(), format!("{name} 1s")]
        });
        bench.edits("/watch/current", &quick);
        bench.changed.clear();
        bench.reload_prometheus();
        bench.wait_until_healthy();
        bench
    }

    /// What is wrong with how a fault is found; nothing, if it is found as declared.
    pub(super) fn tries(&mut self, fault: &Fault) -> Vec<String> {
        let door = fault.nginx.is_some() || fault.certificate.is_some();
        if self.edited && !door {
            self.wait_until_healthy();
        }
        if !self.healthy.contains_key(&fault.asks) {
            self.wait_until_healthy();
            let report = self.ask(fault.asks);
            self.healthy.insert(fault.asks, verdicts(&report));
        }
        self.breaks(fault);
        let begin = Instant::now();
        let trouble = loop {
            let trouble = self.judge(fault, &worse(&self.ask(fault.asks), self.healthy.get(&fault.asks)));
            // What Nginx serves is there at once; engines and Prometheus take their time.
            if trouble.is_empty() || door || begin.elapsed() > SHOWS {
                break trouble;
            }
            std::thread::sleep(AGAIN);
        };
        self.mends(fault);
        trouble
    }

    fn judge(&self, fault: &Fault, worse: &[Worse]) -> Vec<String> {
        let found: BTreeMap<&str, &str> = worse.iter().map(|w| (w.id.as_str(), w.verdict.as_str())).collect();
        let wanted = fault.finds();
        if found != wanted {
            let found: Vec<String> = worse.iter().map(Worse::words).collect();
            return vec![format!("wanted {wanted:?}, found {found:#?}")];
        }
        let first = &worse[0];
        if first.id != fault.cause {
            return vec![format!("{} comes first instead of {}", first.words(), fault.cause)];
        }
        let text = std::fs::read_to_string(self.site.folder().join("stack.toml")).unwrap();
        let line = first.line.map(|line| text.lines().nth(line - 1).unwrap_or_default());
        match (line, &fault.line) {
            (None, None) => Vec::new(),
            (Some(line), Some(part)) if line.contains(part) => Vec::new(),
            (line, _) => vec![format!("{} names {line:?}", first.words())],
        }
    }

    fn breaks(&mut self, fault: &Fault) {
        if let Some(edits) = &fault.nginx {
            self.edits("/door/current", edits);
            self.edited = true;
            self.hand.reload_door();
        } else if let Some(edits) = &fault.prometheus {
            self.edits("/watch/current", edits);
            self.reload_prometheus();
        } else if let Some(wanted) = &fault.certificate {
            let (chain, key) = certificate(wanted);
            for (name, text) in [("certs/site.pem", chain), ("certs/site.key", key)] {
                self.change(&format!("/door/current/{name}"), &text);
            }
            self.edited = true;
            self.hand.reload_door();
        } else if let Some(Replaced { container, with }) = &fault.replaced {
            let was = inspect(container);
            replace(container, &was, with);
            self.replaced = Some((container.clone(), was));
        } else if let Some(edits) = &fault.stack {
            let toml = edits.iter().fold(self.toml.clone(), |toml, [from, to]| {
                assert!(toml.contains(from.as_str()), "{}: `{from}` is not in stack.toml", fault.what);
                toml.replace(from.as_str(), to)
            });
            self.site.write(&toml);
        } else if let Some(given) = &fault.given {
            self.given = given.clone();
        } else if let Some(commands) = &fault.docker {
            each(&self.filled(commands));
        } else if let Some(line) = &fault.shell {
            self.shell(line);
        }
    }

    /// With the stack's own names.
    fn filled(&self, commands: &[Vec<String>]) -> Vec<Vec<String>> {
        commands.iter().map(|command| command.iter().map(|word| self.fill(word)).collect()).collect()
    }

    fn fill(&self, word: &str) -> String {
        self.names.iter().fold(word.to_owned(), |word, (name, value)| word.replace(name, value))
    }

    fn reload_prometheus(&self) {
        each(&[["kill", "-s", "HUP", &format!("{}-prometheus-1", self.lane.name)]]);
    }

    fn shell(&self, line: &str) {
        let line = line.replace("STACKCTL", env!("CARGO_BIN_EXE_stackctl"));
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line]).current_dir(self.site.folder()).envs(ENV);
        let said = said(&shell.output().unwrap());
        assert_eq!(said.code, 0, "{line}: {}{}", said.out, said.err);
    }

    fn mends(&mut self, fault: &Fault) {
        let changed = std::mem::take(&mut self.changed);
        for (file, text) in &changed {
            self.hand.write(file, text);
        }
        self.site.write(&self.toml);
        self.given.clear();
        each(&self.filled(&fault.mend));
        if let Some(line) = &fault.undo {
            self.shell(line);
        }
        if fault.up {
            self.site.run(&["up", "--yes", "--no-verify"], &ENV).ends(0);
        }
        if let Some((container, was)) = self.replaced.take() {
            replace(&container, &was, &Value::Null);
        }
        if changed.keys().any(|file| file.starts_with("/watch")) {
            self.reload_prometheus();
        }
        // What was edited of the front door is loaded by the next reload; what is in its log stays there for a while.
        let logged = fault.finds().contains_key("LOG-2");
        let quiet = self.edited && !logged || fault.stack.is_some() || fault.given.is_some();
        if !quiet {
            self.wait_until_healthy();
        }
    }

    fn edits(&mut self, folder: &str, edits: &[[String; 3]]) {
        for [file, from, to] in edits {
            let (file, from, to) = (format!("{folder}/{file}"), self.fill(from), &self.fill(to));
            if from.is_empty() {
                self.hand.write(&file, to);
                continue;
            }
            let text = self.hand.read(&file);
            assert!(text.contains(from.as_str()), "`{from}` is not in {file}:\n{text}");
            self.change(&file, &text.replace(from.as_str(), to));
        }
    }

    /// Writes a file, and remembers what was in it.
    fn change(&mut self, file: &str, text: &str) {
        let was = self.hand.read(file);
        self.changed.entry(file.to_owned()).or_insert(was);
        self.hand.write(file, text);
    }

    /// Until nothing is worse than it was at first.
    pub(super) fn wait_until_healthy(&mut self) {
        if std::mem::take(&mut self.edited) {
            self.hand.reload_door();
        }
        let begin = Instant::now();
        loop {
            let report = self.ask(Asks::Quick);
            let bad: Vec<String> = worse(&report, self.healthy.get(&Asks::Quick)).iter().map(Worse::words).collect();
            if bad.is_empty() {
                self.healthy.entry(Asks::Quick).or_insert_with(|| verdicts(&report));
                return;
            }
            assert!(begin.elapsed() < MENDED, "the stack is not healthy: {bad:#?}\n{}", docker(&["ps", "-a"]));
            std::thread::sleep(AGAIN);
        }
    }

    fn ask(&self, asks: Asks) -> Value {
        let mut env: BTreeMap<&str, &str> = ENV.into();
        env.extend(self.given.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let words: Vec<String> = asks.arguments().iter().map(|word| self.lane.own(word)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = self.site.run(&words, &env.into_iter().collect::<Vec<_>>());
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("exit {}: {}{}", said.code, said.out, said.err))
    }
}
