//! Whatever goes wrong: the old certificate serves on, which a handshake shows, and a message says what to do. What is
//! said is kept in `wrong.txt`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::book::Book;
use super::super::places::{self, OWN, Watch};
use super::super::support::{Said, Site, root, soak};
use super::authority::{Authority, CUSTOMER, Setup};
use super::between::{Between, Fault, Then, problem};
use super::{Door, acme, print, status};

const DOOR: Door = Door { name: "t-acme-wrong", http: 18_146, https: 18_546 };
const EVER: usize = usize::MAX;
const DAY: u64 = 86_400;

/// A stack that has its certificate, and everything that can be done to it.
struct Scene {
    authority: Authority,
    between: Between,
    staging: Between,
    site: Site,
    book: Book,
    said: Vec<(String, String)>,
}

impl Scene {
    fn new() -> Self {
        let authority =
            Authority::new(Setup { ports: 18_650, http: DOOR.http, lifetime: 90 * DAY, ..Setup::default() });
        let between = Between::new(18_656, &authority, 18_650);
        let staging = Between::new(18_657, &authority, 18_650);
        let site = Site::new("", DOOR.name, DOOR.http);
        Self { authority, between, staging, site, book: Book::at("acme/wrong.txt"), said: Vec::new() }
    }

    /// Writes stack.toml: `more` follows the authority's keys.
    fn write(&self, domains: &str, more: &str) {
        let acme = acme(&self.between.directory(), &self.authority, more);
        self.site.write(&DOOR.toml(domains, &acme));
    }

    /// Runs, expects an end, and that another certificate than before is shown, or the same; notes what was said.
    #[track_caller]
    fn run(&mut self, what: &str, args: &[&str], env: &[(&str, &str)], code: i32, renewed: bool) -> Said {
        let before = DOOR.shown();
        let said = self.site.run(args, env);
        self.book.note(what, &said, self.site.folder());
        self.said.push((what.to_owned(), format!("{}{}", said.out, said.err)));
        let said = said.ends(code);
        let after = DOOR.shown();
        assert_eq!(before != after, renewed, "{what}\n{}\n{}", said.out, said.err);
        assert_eq!(status(&self.site)["sha256"], after, "{what}: what is kept is what is shown");
        said
    }

    /// Fails, and the old one serves on.
    #[track_caller]
    fn fails(&mut self, what: &str, args: &[&str]) -> Said {
        self.run(what, args, &[], 1, false)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn whatever_goes_wrong_the_old_certificate_serves() {
    if !soak() {
        println!("only with SOAK=1: some minutes");
        return;
    }
    let mut scene = Scene::new();
    let watch = Watch::new(&scene.site.folder().join("nothing-there"));
    tried_out_first(&mut scene);
    what_authorities_say(&mut scene);
    when_the_authority_wants(&mut scene);
    wrong_clocks(&mut scene);
    customers_only(&mut scene);
    by_the_dns(&mut scene);
    nothing_is_told(&mut scene, watch);
    of_ones_own(&mut scene);
    scene.book.is_as_expected();
}

/// Where nothing counts, it is tried out: before the first certificate, and for new names.
fn tried_out_first(scene: &mut Scene) {
    let staging = format!("staging = \"{}\"\n", scene.staging.directory());
    scene.write("\"acme.test\"", &staging);
    let said = scene.site.run(&["up", "--yes", "--no-verify"], &[]).ends(0);
    said.says("trying it out first").says("certificate for acme.test until");
    assert!(scene.staging.asked("/order-plz") > 0 && scene.between.asked("/order-plz") > 0);
    assert_eq!(status(&scene.site)["sha256"], DOOR.shown());

    // A name that leads elsewhere: the real directory is not bothered.
    scene.authority.leads("www.acme.test", "127.0.0.9");
    scene.write("\"acme.test\", \"www.acme.test\"", &staging);
    scene.between.breaks(&[]);
    let before = DOOR.shown();
    scene.site.run(&["up", "--yes", "--no-verify"], &[]).ends(1).says("tried out first").says("the old one serves on");
    assert_eq!(DOOR.shown(), before);
    scene.fails("staging finds that a name leads elsewhere", &["cert", "issue"]).says("tried out first");
    assert_eq!(scene.between.asked("/order-plz"), 0);
    // One that is out of order is no reason to go without.
    scene.authority.leads("www.acme.test", "127.0.0.1");
    scene.staging.breaks(&[unavailable("/dir", "")]);
    scene.run("staging is out of order", &["cert", "issue"], &[], 0, true).says("asked for all the same");
    // What is known to work is not tried out.
    scene.staging.breaks(&[]);
    scene.run("renewed without staging", &["cert", "issue", "--anew"], &[], 0, true);
    assert_eq!(scene.staging.asked("/dir"), 0);
    scene.run("only tried out", &["cert", "issue", "--staging"], &[], 0, false);
    assert!(scene.staging.asked("/certZ/") > 0);
    scene.write("\"acme.test\"", "");
    scene.fails("nothing to try out with", &["cert", "issue", "--staging"]);
}

fn unavailable(at: &'static str, headers: &'static str) -> Fault {
    let page = "<html>come back later</html>".to_owned();
    Fault { at, times: EVER, then: Then::Answer("503 Service Unavailable", headers, page) }
}

fn fault(at: &'static str, times: usize, then: Then) -> Vec<Fault> {
    vec![Fault { at, times, then }]
}

/// What an authority, or something before it, can say; the certificate that is there holds for long.
fn what_authorities_say(scene: &mut Scene) {
    let anew = ["cert", "issue", "--anew"];
    let page = |status: &'static str| Then::Answer(status, "", "<html>".to_owned());
    let other = {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec!["acme.test".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    };
    // What is there in every run, and what takes longer.
    let mut cases: Vec<(&str, Vec<Fault>)> = vec![
        ("the directory is out of order", fault("/dir", EVER, page("500 Internal Server Error"))),
        ("the directory wants to be left alone", vec![unavailable("/dir", "Retry-After: 120\r\n")]),
        ("the directory is something else", fault("/dir", EVER, page("200 OK"))),
        ("the connection ends", fault("/dir", EVER, Then::HangUp)),
        (
            "too many orders",
            vec![Fault {
                then: Then::Answer(
                    "429 Too Many Requests",
                    "Content-Type: application/problem+json\r\nRetry-After: 86400\r\n",
                    r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates (5) already issued for acme.test"}"#.to_owned(),
                ),
                ..problem("/order-plz", "", "", "")
            }],
        ),
        ("no nonce is good", vec![problem("/order-plz", "400 Bad Request", "badNonce", "it is used up")]),
        ("the order is invalid", fault("/my-order/", EVER, Then::Status("invalid"))),
        ("another one's certificate", fault("/certZ/", EVER, Then::Body(other))),
    ];
    if soak() {
        cases.extend([
            (
                "orders are refused",
                vec![problem("/order-plz", "403 Forbidden", "rejectedIdentifier", "policy forbids")],
            ),
            ("no nonces", fault("/nonce-plz", EVER, page("502 Bad Gateway"))),
            (
                "the account is refused",
                vec![problem("/my-account/", "500 Internal Server Error", "serverInternal", "oh")],
            ),
            ("the challenge is refused", vec![problem("/chalZ/", "400 Bad Request", "malformed", "no such challenge")]),
            ("the authorization is gone", fault("/authZ/", EVER, page("404 Not Found"))),
            ("the order is gone", fault("/my-order/", EVER, page("404 Not Found"))),
            ("the key is refused", vec![problem("/finalize-order/", "400 Bad Request", "badCSR", "a weak key")]),
            ("the end is refused", vec![problem("/finalize-order/", "403 Forbidden", "caa", "CAA forbids it")]),
            ("the certificate is cut off each time", fault("/certZ/", EVER, Then::Break(700))),
            ("the certificate is cut short each time", fault("/certZ/", EVER, Then::Shorten(700))),
            ("no certificate in it", fault("/certZ/", EVER, Then::Body("hello".to_owned()))),
            ("the certificate is not to be had", fault("/certZ/", EVER, page("502 Bad Gateway"))),
        ]);
    }
    for (what, faults) in &cases {
        scene.between.breaks(faults);
        scene.fails(what, &anew);
    }
    let failures = cases.len();
    assert!(status(&scene.site)["quiet_until"].as_u64().unwrap() > now() + 3600, "{failures} failures");

    // What goes by itself.
    for (what, faults) in [
        (
            "a nonce was used up",
            vec![Fault { times: 2, ..problem("/order-plz", "400 Bad Request", "badNonce", "old") }],
        ),
        ("the certificate is cut off once", fault("/certZ/", 1, Then::Break(700))),
        ("the certificate is cut short once", fault("/certZ/", 1, Then::Shorten(700))),
        (
            "the account is gone",
            vec![Fault { times: 1, ..problem("/my-account/", "400 Bad Request", "accountDoesNotExist", "who?") }],
        ),
        (
            "the account was closed",
            vec![Fault { times: 1, ..problem("/my-account/", "401 Unauthorized", "unauthorized", "deactivated") }],
        ),
    ] {
        scene.between.breaks(&faults);
        scene.run(what, &anew, &[], 0, true);
        assert_eq!(status(&scene.site)["failed"], serde_json::Value::Null, "{what}");
    }
    scene.between.breaks(&[]);

    // Something else answers the authority's question under that name.
    let listener = TcpListener::bind(("127.0.0.10", DOOR.http)).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nparked");
        }
    });
    scene.authority.leads("acme.test", "127.0.0.10");
    scene.fails("something else answers", &anew);
    scene.authority.leads("acme.test", "127.0.0.1");

    on_the_way_to_the_directory(scene);
    scene.write("\"acme.test\"", "");
    scene.run("after all that", &anew, &[], 0, true);
}

fn on_the_way_to_the_directory(scene: &mut Scene) {
    let plain = |directory: &str, more: &str| {
        DOOR.toml(
            "\"acme.test\"",
            &format!("[proxy.tls.acme]\nemail = \"ops@acme.test\"\ndirectory = \"{directory}\"\n{more}"),
        )
    };
    let trust = format!("trust = \"{}\"\n", scene.authority.path("trust.pem").display());
    for (what, toml) in [
        ("nobody listens", plain("https://localhost:18659/dir", &trust)),
        ("the directory is not trusted", plain(&scene.between.directory(), "")),
        ("the directory has another name", plain("https://127.0.0.1:18656/dir", &trust)),
        ("no file of authorities", plain(&scene.between.directory(), "trust = \"nowhere.pem\"\n")),
    ] {
        scene.site.write(&toml);
        scene.fails(what, &["cert", "issue", "--anew"]);
    }
}

/// The authority's window counts; and while it wants to be left alone, so does that.
fn when_the_authority_wants(scene: &mut Scene) {
    let began = status(&scene.site)["not_before"].as_u64().unwrap();
    let date = |seconds: u64| {
        let output = std::process::Command::new("date").args(["-u", "-d", &format!("@{seconds}"), "+%FT%TZ"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
    };
    let window = |from: u64, until: u64| Fault {
        at: "renewalInfo",
        times: EVER,
        then: Then::Body(
            serde_json::json!({ "suggestedWindow": { "start": date(from), "end": date(until) } }).to_string(),
        ),
    };
    let later = window(now() + 20 * DAY, now() + 21 * DAY);
    scene.between.breaks(&[later]);
    let kept: serde_json::Value =
        serde_json::from_str(&scene.site.run(&["--json", "cert", "renew"], &[]).ends(0).out).unwrap();
    assert_eq!((&kept["result"], scene.between.asked("renewalInfo")), (&serde_json::json!("kept"), 1), "{kept}");
    // Now; and it has no time.
    let at_once = window(began, began + 1);
    scene.between.breaks(&[at_once.clone(), unavailable("/order-plz", "Retry-After: 7200\r\n")]);
    scene.fails("it wants it, and has no time", &["cert", "renew"]).says("the authority asks for it");
    let quiet = status(&scene.site)["quiet_until"].as_u64().unwrap();
    assert!((now() + 7100..now() + 7300).contains(&quiet), "{quiet}");
    scene.between.breaks(std::slice::from_ref(&at_once));
    scene.fails("it is left alone", &["cert", "renew"]).says("asks again from");
    assert_eq!(scene.between.asked("/order-plz"), 0);
    // A person does not wait; then the window is of before, and nobody asks for ever.
    scene.run("a person asks", &["cert", "issue", "--anew"], &[], 0, true);
    scene.run("the window is over", &["cert", "renew"], &[], 0, false);
    scene.between.breaks(&[]);
}

/// A clock that is wrong: nothing is asked for again and again, nothing thrown away.
fn wrong_clocks(scene: &mut Scene) {
    let library = root().join("target/tools/faketime/libfaketime.so").display().to_string();
    assert!(Path::new(&library).exists(), "libfaketime is needed: make tools");
    let at = |when: &'static str| {
        [("LD_PRELOAD", library.clone()), ("FAKETIME", when.to_owned()), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into())]
    };
    let run = |scene: &mut Scene, what: &str, when: &'static str, args: &[&str], code: i32| {
        let env = at(when);
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        scene.run(what, args, &env, code, false)
    };
    scene.between.breaks(&[]);
    run(scene, "200 days ahead, renewed", "+200d", &["cert", "renew"], 1).says("ahead of the authority's");
    run(scene, "200 days ahead, again", "+200d", &["cert", "renew"], 1).says("asks again from");
    run(scene, "200 days ahead, anew", "+200d", &["cert", "issue", "--anew"], 1);
    run(scene, "200 days ahead, status", "+200d", &["cert", "status"], 4);
    run(scene, "200 days behind, renewed", "-200d", &["cert", "renew"], 0).says("look at the clock");
    run(scene, "200 days behind, anew", "-200d", &["cert", "issue", "--anew"], 1).says("behind the authority's");
    run(scene, "200 days behind, status", "-200d", &["cert", "status"], 4);
    assert_eq!(scene.between.asked("/order-plz"), 0, "nothing was asked for");
    // Set right: what the wrong clock noted keeps nobody waiting.
    scene.run("the clock is right again", &["cert", "renew"], &[], 0, false).says("the certificate holds");
    scene.run("the clock is right again, status", &["cert", "status"], &[], 0, false);
    scene.run("the clock is right again, anew", &["cert", "issue", "--anew"], &[], 0, true);
}

/// A program that changes the DNS, and one that does not.
fn by_the_dns(scene: &mut Scene) {
    let folder = scene.site.folder().to_owned();
    let program = |name: &str, more: &str| scene.authority.dns_program(&folder, name, more);
    program("dns", "");
    program("refuses", "echo 'the provider says no' >&2; exit 3");
    program("hangs", "[ $1 = unset ] || sleep 60");
    program("pretends", "exit 0");
    let toml = |dns: &str| format!("names = [\"acme.test\", \"*.acme.test\"]\ntimeout = \"1s\"\ndns = [\"{dns}\"]\n");
    let write = |scene: &Scene, dns: &str| {
        scene.write("\"acme.test\", \"www.acme.test\"", &toml(dns));
        let _ = fs::remove_file(folder.join("asked"));
    };
    let asked = || fs::read_to_string(folder.join("asked")).unwrap_or_default();
    for (what, dns, calls) in [
        ("the program refuses", "./refuses", "set _acme-challenge.acme.test\nunset _acme-challenge.acme.test\n"),
        ("the program hangs", "./hangs", "set _acme-challenge.acme.test\nunset _acme-challenge.acme.test\n"),
        ("there is no program", "./nowhere", ""),
    ] {
        write(scene, dns);
        scene.fails(what, &["cert", "issue"]);
        assert_eq!(asked(), calls, "{what}");
    }
    write(scene, "./pretends");
    scene.fails("the record never appears", &["cert", "issue"]);
    write(scene, "./dns");
    scene.run("a wildcard by the DNS", &["cert", "issue"], &[], 0, true);
    assert_eq!(asked().lines().filter(|line| line.starts_with("set ")).count(), 2, "{}", asked());
    assert_eq!(asked().lines().filter(|line| line.starts_with("unset ")).count(), 2, "{}", asked());
    let names = status(&scene.site)["names"].clone();
    let mut names: Vec<&str> = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["*.acme.test", "acme.test"]);
    // The front door answers by the other name with the same certificate, once the release says so.
    scene.site.run(&["up", "--yes", "--no-verify"], &[]).ends(0);
    assert_eq!(DOOR.asked("www.acme.test", &scene.authority.root()), "308");
}

/// An authority that gives accounts to its customers only.
fn customers_only(scene: &mut Scene) {
    let authority = Authority::new(Setup { ports: 18_660, http: DOOR.http, customers: true, ..Setup::default() });
    let toml = |kid: &str| {
        let bound = if kid.is_empty() { String::new() } else { format!("eab_kid = \"{kid}\"\neab_key = \"eab\"\n") };
        let acme = acme("https://localhost:18660/dir", &authority, &bound);
        DOOR.toml("\"acme.test\"", &format!("{acme}\n[secrets]\neab = {{ env = \"EAB\" }}\n"))
    };
    let other = format!("{}AAAA", &CUSTOMER.1[..CUSTOMER.1.len() - 4]);
    for (what, kid, key) in [
        ("no customer", "", CUSTOMER.1),
        ("another's key", CUSTOMER.0, other.as_str()),
        ("another's name", "kid-2", CUSTOMER.1),
        ("a key that is none", CUSTOMER.0, "not base64 at all!"),
    ] {
        scene.site.write(&toml(kid));
        scene.run(what, &["cert", "issue", "--anew"], &[("EAB", key), OWN], 1, false);
    }
    scene.site.write(&toml(CUSTOMER.0));
    scene.run("a customer", &["cert", "issue", "--anew"], &[("EAB", CUSTOMER.1), OWN], 0, true);
    scene.site.run(&["cert", "renew"], &[("EAB", CUSTOMER.1), OWN]).ends(0).says("the certificate holds");
}

/// Keys of the account, of the customer and of the certificate are where they are kept, and nowhere else.
fn nothing_is_told(scene: &mut Scene, watch: Watch) {
    scene.site.run(&["up", "--yes", "--no-verify"], &[("EAB", CUSTOMER.1), OWN]).ends(0);
    for args in [&["--verbose", "plan"][..], &["--json", "plan"], &["audit"], &["releases", "1"], &["secrets", "list"]]
    {
        let said = scene.site.run(args, &[("EAB", CUSTOMER.1), OWN]).ends(0);
        scene.said.push((args.join(" "), format!("{}{}", said.out, said.err)));
    }
    let state = places::volume_files(&scene.site, &format!("{}_stackctl", DOOR.name));
    let mut secrets = places::kept(&state);
    let accounts = secrets.iter().filter(|(name, _)| name.starts_with("proxy.account.")).count();
    assert!(accounts >= 3 && secrets.iter().any(|(name, _)| name == "proxy.certificate"), "{accounts} accounts");
    secrets.push(("the customer's key".into(), CUSTOMER.1.to_owned()));
    let mut places = places::everywhere(&scene.site, &state);
    places.extend(watch.ends());
    places.extend(scene.said.clone());
    places::nowhere(&places, &secrets);
}

/// A chain of leaf and authority, the leaf's key, and the leaf's fingerprint.
fn made(name: &str, from: u64, days: u64) -> (String, String, String) {
    let at = |seconds: u64| (UNIX_EPOCH + Duration::from_secs(seconds)).into();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(rcgen::DnType::CommonName, "somebody's authority");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap()).unwrap();
    let mut leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    (leaf.not_before, leaf.not_after) = (at(from), at(from + days * DAY));
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    (format!("{}{}", leaf.pem(), authority.pem()), key.serialize_pem(), print(leaf.der()))
}

/// Certificates that come in files: what cannot serve moves nothing.
fn of_ones_own(scene: &mut Scene) {
    let folder = scene.site.folder().to_owned();
    let write = |name: &str, text: &str, mode: u32| {
        fs::write(folder.join(name), text).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    let (chain, key, fingerprint) = made("acme.test", now() - DAY, 90);
    let (leaf, authority) = chain.split_at(chain.find("-----END CERTIFICATE-----\n").unwrap() + 26);
    let (other, other_key, _) = made("other.test", now() - DAY, 90);
    let (ended, ended_key, _) = made("acme.test", now() - 91 * DAY, 90);
    for (name, text) in [
        ("good.key", &key),
        ("other.pem", &other),
        ("other.key", &other_key),
        ("ended.pem", &ended),
        ("ended.key", &ended_key),
        ("turned.pem", &format!("{authority}{leaf}")),
        ("cut.pem", &chain[..chain.len() - 40].to_owned()),
        ("good.pem", &chain),
    ] {
        write(name, text, 0o600);
    }
    write("open.key", &key, 0o644);
    scene.write("\"acme.test\"", "");
    for (what, chain, key, code) in [
        ("import: the key is another's", "good.pem", "other.key", 2),
        ("import: for another name", "other.pem", "other.key", 2),
        ("import: it ended", "ended.pem", "ended.key", 2),
        ("import: the wrong way round", "turned.pem", "good.key", 2),
        ("import: cut off", "cut.pem", "good.key", 2),
        ("import: others can read the key", "good.pem", "open.key", 2),
        ("import: no such file", "nowhere.pem", "good.key", 2),
    ] {
        scene.run(what, &["cert", "import", chain, key], &[], code, false);
    }
    scene.run("import", &["cert", "import", "good.pem", "good.key"], &[], 0, true);
    assert_eq!(DOOR.shown(), fingerprint);
    scene.run("import: status", &["cert", "status"], &[], 0, false);
    scene.run("import: renewed when due", &["cert", "renew"], &[], 0, false);
    let trust = scene.site.run(&["cert", "trust"], &[]).ends(0);
    assert!(
        trust.out.starts_with("-----BEGIN CERTIFICATE-----")
            && trust.out.trim_end().ends_with("-----END CERTIFICATE-----")
    );

    // `tls.files`: looked at before anything moves.
    let toml = |cert: &str, key: &str| {
        let files = format!("[proxy.tls.files]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
        DOOR.toml("\"acme.test\"", &files)
    };
    let up = ["up", "--yes", "--no-verify"];
    let before = DOOR.shown();
    for (what, cert, key) in [
        ("files: the key is another's", "good.pem", "other.key"),
        ("files: for another name", "other.pem", "other.key"),
        ("files: it ended", "ended.pem", "ended.key"),
        ("files: others can read the key", "good.pem", "open.key"),
    ] {
        scene.site.write(&toml(cert, key));
        let said = scene.site.run(&up, &[]);
        scene.book.note(what, &said, &folder);
        assert_ne!(said.code, 0, "{what}");
        assert_eq!(DOOR.shown(), before, "{what}");
    }
    let (chain, key, fingerprint) = made("acme.test", now() - DAY, 90);
    write("mine.pem", &chain, 0o600);
    write("mine.key", &key, 0o600);
    scene.site.write(&toml("mine.pem", "mine.key"));
    scene.site.run(&up, &[]).ends(0);
    assert_eq!(DOOR.shown(), fingerprint);
    for (what, args, code) in [
        ("files: renew", &["cert", "renew"][..], 0),
        ("files: issue", &["cert", "issue"], 1),
        ("files: import", &["cert", "import", "good.pem", "good.key"], 1),
        ("files: status", &["cert", "status"], 0),
    ] {
        scene.run(what, args, &[], code, false);
    }

    // A trial one: who trusts the stack's authority is served.
    scene.site.write(&DOOR.toml("\"acme.test\"", "tls = \"self-signed\""));
    scene.site.run(&up, &[]).ends(0);
    let trust = scene.site.run(&["cert", "trust"], &[]).ends(0);
    write("ca.pem", &trust.out, 0o644);
    assert_eq!(DOOR.asked("acme.test", &folder.join("ca.pem").display().to_string()), "200");
    scene.run("trial: renew", &["cert", "renew"], &[], 0, false);
    scene.run("trial: anew", &["cert", "issue", "--anew"], &[], 0, true);
    assert_eq!(DOOR.asked("acme.test", &folder.join("ca.pem").display().to_string()), "200", "by the same authority");
}
