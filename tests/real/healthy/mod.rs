//! Healthy stacks of many kinds: `verify` fails nothing, leaves nothing open, and warns of nothing that is not explained.
//! `make soak` deploys every variant, `make test` those marked `often`.

mod document;

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::support::{Site, root, said, soak};

/// Variants that are up at once: most of each is waiting.
const AT_ONCE: usize = 3;
/// First port of the first variant.
const PORTS: u16 = 18501;
/// Looks at a stack that has just come up, on a machine that others use, too.
const LOOKS: u32 = 4;
/// The password of the database elsewhere.
const PASSWORD: &str = "a-long-word-Nobody-guesses-7";

/// The table of variants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    machine: Vec<Explained>,
    #[serde(rename = "variant")]
    variants: Vec<Variant>,
}

/// A warning, and why it is right.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explained {
    /// Identifier of the check, or a family.
    check: String,
    /// A part of what was seen.
    says: String,
    why: String,
}

/// A healthy stack.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    /// What is special about it, for people.
    what: String,
    /// Tried by every run of the tests.
    #[serde(default)]
    often: bool,
    /// Text of the base that is replaced (old, new).
    #[serde(default)]
    edits: Vec<[String; 2]>,
    /// What is left out of the base: from the first text up to the second, up to the end if that is empty.
    cut: Option<[String; 2]>,
    /// What has to be there before.
    with: Option<With>,
    /// Arguments of `verify` besides the usual; `SECURE` stands for the port of HTTPS.
    #[serde(default)]
    asks: Vec<String>,
    /// Warnings that are right: each must be there.
    #[serde(default)]
    warns: Vec<Explained>,
}

/// What a variant needs besides its stack.
#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum With {
    /// A certificate of an authority that is the tests' own.
    Certificate,
    /// A PostgreSQL that is not of the stack.
    Database,
    /// Somebody in front who takes IPv6 and passes it on: the front door itself is published on IPv4.
    Ipv6,
}

impl Explained {
    fn is_about(&self, id: &str, observed: &str) -> bool {
        (self.check == id || id.split_once('-').is_some_and(|(family, _)| family == self.check))
            && observed.contains(&self.says)
    }
}

fn table() -> Table {
    toml::from_str(include_str!("variants.toml")).unwrap()
}

/// The stack of a variant, with a name and ports of its own.
fn stack(variant: &Variant, name: &str, port: u16) -> String {
    let mut text = include_str!("stack.toml").to_owned();
    for [from, to] in &variant.edits {
        assert!(text.contains(from.as_str()), "{}: `{from}` is not in the base", variant.what);
        text = text.replace(from.as_str(), to);
    }
    if let Some([from, to]) = &variant.cut {
        let start = text.find(from.as_str()).unwrap();
        let end = if to.is_empty() { text.len() } else { text.find(to.as_str()).unwrap() };
        text.replace_range(start..end, "");
    }
    // Stacks that come up at the same time choose from the same pool.
    let pool = format!("10.84.{}.0/21", 8 * usize::from(port - PORTS) / 2);
    text.replace("\"NAME\"", &format!("\"{name}\""))
        .replace("POOL", &pool)
        .replace("SAMPLE", &root().join("tests/sample-app").display().to_string())
        .replace("HTTP\n", &format!("{port}\n"))
        .replace("SECURE", &(port + 1).to_string())
}

/// A database that is not of the stack; gone with its handle.
struct Elsewhere;

impl Elsewhere {
    fn start() -> Self {
        let elsewhere = Self;
        elsewhere.remove();
        let mirror = std::env::var("STACKCTL_REGISTRY_MIRROR").unwrap_or_else(|_| "stackctl.test".to_owned());
        let password = format!("POSTGRES_PASSWORD={PASSWORD}");
        let said = docker(&[
            "run",
            "-d",
            "--name",
            "t-well-elsewhere",
            "-p",
            "172.17.0.1:18599:5432",
            "-e",
            "POSTGRES_USER=app",
            "-e",
            &password,
            &format!("{mirror}/library/postgres:15"),
        ]);
        assert_eq!(said.0, 0, "{}", said.1);
        let begin = Instant::now();
        while docker(&["exec", "t-well-elsewhere", "pg_isready", "-h", "127.0.0.1", "-U", "app"]).0 != 0 {
            assert!(begin.elapsed().as_secs() < 60, "{}", docker(&["logs", "t-well-elsewhere"]).1);
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        elsewhere
    }

    #[expect(clippy::unused_self, reason = "of the one container by that name")]
    fn remove(&self) {
        docker(&["rm", "-f", "-v", "t-well-elsewhere"]);
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.remove();
    }
}

fn docker(args: &[&str]) -> (i32, String) {
    let said = said(&std::process::Command::new("docker").args(args).output().unwrap());
    (said.code, said.out + &said.err)
}

/// Passes what comes to a port of `::1` on to the same port of 127.0.0.1, until the tests end.
fn relay(port: u16) {
    use std::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind(("::1", port)).unwrap();
    std::thread::spawn(move || {
        for visitor in listener.incoming().flatten() {
            let Ok(door) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            for (mut from, mut to) in [(visitor.try_clone().unwrap(), door.try_clone().unwrap()), (door, visitor)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
}

/// An authority, and a certificate of it for `localhost`.
fn certificates(site: &Site) {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let day = |days: i64| {
        let date = stackctl::base::date::Date::of_seconds(now.checked_add_signed(days * 86_400).unwrap()).to_string();
        let parts: Vec<i32> = date.split('-').map(|part| part.parse().unwrap()).collect();
        rcgen::date_time_ymd(parts[0], u8::try_from(parts[1]).unwrap(), u8::try_from(parts[2]).unwrap())
    };
    (leaf.not_before, leaf.not_after) = (day(-1), day(89));
    let key = KeyPair::generate().unwrap();
    let chain = leaf.signed_by(&key, &issuer).unwrap().pem();
    let folder = site.folder().join("certs");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in [("site.pem", &chain), ("site.key", &key.serialize_pem()), ("authority.pem", &authority)] {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// What is wrong with what is said of a variant: nothing, if all is well.
fn judge(report: &Value, variant: &Variant, machine: &[Explained]) -> Vec<String> {
    let mut trouble = Vec::new();
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    let mut passed = 0;
    for finding in report["findings"].as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        let words = || format!("{} {}: {} ({})", text("id"), text("verdict"), text("observed"), text("subject"));
        match text("verdict") {
            "pass" => passed += 1,
            "not-applicable" => {}
            "warn" => {
                let is = |explained: &&Explained| explained.is_about(text("id"), text("observed"));
                let own = variant.warns.iter().position(|explained| is(&explained));
                seen.extend(own);
                if own.is_none() && !machine.iter().any(|explained| is(&explained)) {
                    trouble.push(words());
                }
            }
            _ => trouble.push(words()),
        }
    }
    for (number, explained) in variant.warns.iter().enumerate() {
        if !seen.contains(&number) {
            trouble.push(format!("{} does not warn", explained.check));
        }
    }
    if passed < 10 {
        trouble.push(format!("{passed} checks passed: hardly anything was asked"));
    }
    trouble
}

/// Deploys a variant and asks; what is wrong with what it is told.
fn tries(number: usize, variant: &Variant, machine: &[Explained]) -> Vec<String> {
    let begin = Instant::now();
    let name = format!("t-well-{number}");
    let port = PORTS + 2 * u16::try_from(number).unwrap();
    let elsewhere = (variant.with == Some(With::Database)).then(Elsewhere::start);
    let site = Site::new(&stack(variant, &name, port), &name, port);
    if variant.with == Some(With::Certificate) {
        certificates(&site);
    }
    if variant.with == Some(With::Ipv6) {
        for port in [port, port + 1] {
            relay(port);
        }
    }
    let env = [("DATABASE", PASSWORD)];
    site.run(&["up", "--yes", "--no-verify"], &env).ends(0);
    let up = begin.elapsed();
    let own: Vec<String> = variant.asks.iter().map(|word| word.replace("SECURE", &(port + 1).to_string())).collect();
    let mut arguments = vec!["--json", "verify"];
    arguments.extend((!soak()).then_some("--quick"));
    arguments.extend(own.iter().map(String::as_str));
    let mut trouble = Vec::new();
    for look in 1..=LOOKS {
        let said = site.run(&arguments, &env);
        let report: Value = serde_json::from_str(&said.out)
            .unwrap_or_else(|_| panic!("{}: exit {}: {}{}", variant.what, said.code, said.out, said.err));
        trouble = judge(&report, variant, machine);
        if trouble.is_empty() {
            break;
        }
        println!("{} (look {look}): {trouble:#?}", variant.what);
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    let word = if trouble.is_empty() { "healthy" } else { "WRONG" };
    println!("{word}: {}, up in {:.1} s, {:.1} s", variant.what, up.as_secs_f64(), begin.elapsed().as_secs_f64());
    drop(elsewhere);
    trouble.into_iter().map(|trouble| format!("{}: {trouble}", variant.what)).collect()
}

#[test]
fn nothing_is_wrong_with_a_healthy_stack() {
    let table = table();
    // Those with one of the words (`a|b`) in their name, for whoever works on them.
    let named = std::env::var("VARIANT_NAMED").ok();
    let asked = |v: &Variant| {
        named.as_ref().map_or(soak() || v.often, |words| words.split('|').any(|word| v.what.contains(word)))
    };
    let chosen: Vec<(usize, &Variant)> = table.variants.iter().enumerate().filter(|(_, v)| asked(v)).collect();
    let mut wrong = Vec::new();
    for some in chosen.chunks(AT_ONCE) {
        let found: Vec<Vec<String>> = std::thread::scope(|scope| {
            let running: Vec<_> =
                some.iter().map(|(number, variant)| scope.spawn(|| tries(*number, variant, &table.machine))).collect();
            running.into_iter().map(|one| one.join().unwrap_or_else(|_| vec!["panicked".to_owned()])).collect()
        });
        wrong.extend(found.into_iter().flatten());
    }
    println!("{} variants", chosen.len());
    assert!(!chosen.is_empty() && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_document_is_made_from_the_table() {
    let table = table();
    assert!(table.variants.len() >= 10);
    assert!((1..=4).contains(&table.variants.iter().filter(|v| v.often).count()));
    document::compare(&table);
}
