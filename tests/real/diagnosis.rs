//! Stacks that cannot run, each for a reason of its own: `up` names it, and the next step. What exactly is said of an
//! engine's words is in tests/engine/snapshots; what the whole message is, in the folder beside this file.

use std::io::Write as _;
use std::process::{Command, Stdio};

use stackctl::diagnose::CAUSES;

use super::book::Book;
use super::second::mirror;
use super::support::{Said, Site, slim, soak};

const OTHER_MACHINE: &str = "t-diagnosis-arm:1";

#[test]
fn each_reason_is_named_with_its_next_step() {
    foreign_image();
    let base = slim("t-diagnosis", 18171)
        .replace("replicas    = 3", "replicas    = 1")
        .replace("start_period = \"${START:-40s}\"", "start_period = \"6s\"");
    let site = Site::new(&base, "t-diagnosis", 18171);
    let mut book = Book::at("diagnosis/causes.txt");
    let python = |code: &str| format!("command = [\"python3\", \"-c\", {code:?}]");
    // Cause, what is put into the service, words of the log that are shown with it.
    let cases: Vec<(&str, String, &str)> = vec![
        ("memory", python("x = bytearray(300_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1"), ""),
        ("no-program", "command = [\"gunicorn-that-is-not-there\"]".to_owned(), "gunicorn-that-is-not-there"),
        ("not-executable", "entrypoint = [\"/etc/hostname\"]".to_owned(), "Permission denied"),
        ("permission", python("open('/data/x', 'w')") + "\nvolumes = [\"data:/data\"]", "Permission denied: '/data/x'"),
        ("read-only", python("open('/srv/x', 'w')"), "Read-only file system"),
        ("capability", python("import os; os.chown('/tmp', 0, 0)"), "Operation not permitted"),
        ("names", python("import socket; socket.create_connection(('nowhere.invalid', 5432))"), ""),
        ("setting", python("import os; os.environ['SECRET_KEY']"), "KeyError: 'SECRET_KEY'"),
        ("module", python("import shop"), "No module named 'shop'"),
        ("connection-refused", python("import socket; socket.create_connection(('127.0.0.1', 5432))"), "refused"),
        (
            "loopback",
            "command = [\"python3\", \"-u\", \"-m\", \"http.server\", \"-b\", \"127.0.0.1\", \"8000\"]".to_owned(),
            "127.0.0.1",
        ),
        ("health-port", "command = [\"sleep\", \"600\"]".to_owned(), ""),
        ("health-path", "command = [\"python3\", \"-m\", \"http.server\", \"8000\"]".to_owned(), "404"),
        ("health-error", "stop_signal = \"SIGTERM\"".to_owned(), "503"),
        ("ended", "command = [\"true\"]".to_owned(), ""),
    ];
    for (id, lines, words) in cases {
        site.write(&base.replace("#EXTRA", &lines));
        let env = if id == "health-error" { vec![("FAULT", "unhealthy")] } else { Vec::new() };
        names_the_cause(&site, id, words, &env, &mut book);
    }
    let image = format!("build       = \"{}\"", super::support::root().join("tests/sample-app").display());
    // An init would try it as a script for a shell that is not there, and say that instead.
    let other = format!("image = \"{OTHER_MACHINE}\"\ncommand = [\"/x\"]\ninit = false");
    site.write(&base.replace(&image, &other));
    names_the_cause(&site, "architecture", "", &[], &mut book);
    book.is_as_expected();
    assert!(!site.list("containers").iter().any(|n| n.contains("app")), "nothing is left of any of them");
}

/// Causes that need a database that is well, beside the program that is not.
#[test]
fn a_database_that_is_not_as_it_is_thought_to_be() {
    let base = slim("t-diagnosis-db", 18172)
        .replace("replicas    = 3", "replicas    = 1")
        .replace("start_period = \"${START:-40s}\"", "start_period = \"6s\"")
        .replace("[proxy]", "[services.db]\npreset = \"postgres:15\"\nmemory = \"256M\"\n\n[proxy]");
    let site = Site::new(&base, "t-diagnosis-db", 18172);
    let mut book = Book::at("diagnosis/causes-of-databases.txt");
    let asks = |url: &str, question: &str| {
        let code = format!(
            "import asyncio, asyncpg, os, sys\nasync def main():\n    c = await asyncpg.connect({url})\n    await c.fetch({question:?})\n\
             try: asyncio.run(main())\nexcept Exception as e: sys.exit(f'{{type(e).__name__}}: {{e}}')"
        );
        format!("command = [\"python3\", \"-c\", {code:?}]\ndepends_on = [\"db\"]")
    };
    let wrong = "os.environ['URL'].replace(os.environ['URL'].split(':')[2].split('@')[0], 'guessed')";
    let cases = [
        ("password", asks(wrong, "select 1"), "password authentication failed"),
        (
            "no-database",
            asks("os.environ['URL'].rsplit('/', 1)[0] + '/orders'", "select 1"),
            "\"orders\" does not exist",
        ),
        ("schema", asks("os.environ['URL']", "select * from orders"), "relation \"orders\" does not exist"),
        ("database-starting", starting(), "the database system is starting up"),
    ];
    for (id, lines, words) in cases {
        let toml = base.replace("#EXTRA", &lines).replace("FAULT       =", "URL = \"${db.url}\"\nFAULT =");
        site.write(&toml);
        names_the_cause(&site, id, words, &[], &mut book);
    }
    book.is_as_expected();
}

/// A server of its own in the program's container that says what PostgreSQL says while it starts: the real one does so
/// for too short a time.
fn starting() -> String {
    let code = r"
import asyncio, asyncpg
async def refuse(reader, writer):
    await reader.read(8)
    fields = b'SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0'
    writer.write(b'N')
    await reader.read(500)
    writer.write(b'E' + (len(fields) + 4).to_bytes(4, 'big') + fields)
    await writer.drain()
    writer.close()
async def main():
    await asyncio.start_server(refuse, '127.0.0.1', 5433)
    await asyncpg.connect('postgres://a:b@127.0.0.1:5433/c')
try: asyncio.run(main())
except Exception as e: raise SystemExit(f'{type(e).__name__}: {e}')
";
    format!("command = [\"python3\", \"-c\", {code:?}]")
}

/// Causes that are met less often, and some again in other words.
#[test]
fn rarer_reasons_are_named_too() {
    let base = slim("t-diagnosis-2", 18173)
        .replace("replicas    = 3", "replicas    = 1")
        .replace("start_period = \"${START:-40s}\"", "start_period = \"6s\"");
    let site = Site::new(&base, "t-diagnosis-2", 18173);
    let mut book = Book::at("diagnosis/rarer-causes.txt");
    let python = |code: &str, more: &str| format!("command = [\"python3\", \"-c\", {code:?}]\n{more}");
    let full = "f = open('/dev/shm/x', 'wb', buffering=0)\nfor _ in range(80): f.write(bytes(1 << 20))";
    let threads = "import threading, time\nfor _ in range(64): threading.Thread(target=time.sleep, args=(9,)).start()";
    let slow = "import http.server, time\nclass H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self): time.sleep(60)\nhttp.server.HTTPServer(('', 8000), H).serve_forever()";
    let twice = "import socket\nfor s in [socket.socket(), socket.socket()]: s.bind(('', 8000)); s.listen()";
    let mut cases: Vec<(&str, String, &str)> = vec![
        ("disk-full", python(full, ""), "No space left on device"),
        (
            "no-answer",
            python("import socket; socket.create_connection(('192.0.2.1', 443), 1)", "egress = false"),
            "timed out",
        ),
    ];
    if soak() {
        cases.extend([
            ("clock", python(&handshake(365, 366), ""), "not yet valid"),
            ("memory", python("import resource\nresource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))\nbytearray(400 << 20)", ""), "MemoryError"),
            ("certificate", python(&handshake(-1, 1), "").replace("cafile='/tmp/c'", ""), "certificate verify failed"),
            ("processes", python(threads, "pids = 12"), "can't start new thread"),
            ("files", python("all = [open('/etc/hostname') for _ in range(99)]", "ulimits = { nofile = 40 }"), "Too many open files"),
            ("same-port", python(twice, ""), "Address already in use"),
            ("health-slow", python(slow, ""), ""),
            ("crash", python("import os; os.abort()", ""), ""),
            ("killed", python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ""), ""),
            ("no-program", python("import os; os.execvp('sh', ['sh', '-c', 'gunicorn'])", ""), "gunicorn: not found"),
            ("permission", "command = [\"cat\", \"/etc/shadow\"]".to_owned(), "Permission denied"),
            ("names", python("import urllib.request; urllib.request.urlopen('http://postgress:80')", ""), "Name or service not known"),
            ("module", "command = [\"python3\", \"shop.py\"]".to_owned(), "can't open file"),
        ]);
    }
    for (id, lines, words) in cases {
        site.write(&base.replace("#EXTRA", &lines));
        names_the_cause(&site, id, words, &[], &mut book);
    }
    if soak() {
        another_has_the_address(&base, &mut book);
    }
    book.is_as_expected();
}

/// A server with a certificate that is valid from and to so many days from now, and a client that looks at it.
fn handshake(from: i64, to: i64) -> String {
    let now =
        rcgen::date_time_ymd(1970, 1, 1) + std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut made = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let day = std::time::Duration::from_secs(86_400);
    let at = |days: i64| {
        let time = day * u32::try_from(days.unsigned_abs()).unwrap();
        if days < 0 { now - time } else { now + time }
    };
    (made.not_before, made.not_after) = (at(from), at(to));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = made.self_signed(&key).unwrap();
    format!(
        "import socket, ssl, threading\nopen('/tmp/c', 'w').write({:?})\nopen('/tmp/k', 'w').write({:?})\n\
         server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); server.load_cert_chain('/tmp/c', '/tmp/k')\n\
         listener = socket.create_server(('127.0.0.1', 4433))\n\
         def serve():\n    try: server.wrap_socket(listener.accept()[0], server_side=True)\n    except OSError: pass\n\
         threading.Thread(target=serve, daemon=True).start()\n\
         client = ssl.create_default_context(cafile='/tmp/c')\n\
         client.wrap_socket(socket.create_connection(('127.0.0.1', 4433)), server_hostname='localhost')\n",
        certificate.pem(),
        key.serialize_pem()
    )
}

/// Somebody attached a container by hand, at the address that the next generation gets.
fn another_has_the_address(base: &str, book: &mut Book) {
    let name = "t-diagnosis-3";
    let toml = base.replace("t-diagnosis-2", name).replace("18173", "18174").replace("#EXTRA", "");
    let site = Site::on(None, None, &toml, name, 18174);
    site.up("1");
    let network = format!("{name}_default");
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    let address = site.docker(&["inspect", "-f", &format, &format!("{name}-app-1")]);
    let (front, last) = address.trim().rsplit_once('.').unwrap();
    let last: u8 = last.parse().unwrap();
    // The other of the two banks (design, "Addresses").
    let other = if last < 96 { last + 94 } else { last - 94 };
    let image = format!("{}/library/debian:trixie-slim", mirror());
    let taken = format!("{front}.{other}");
    let run = [
        "run",
        "-d",
        "--rm",
        "--name",
        "t-diagnosis-3-guest",
        "--network",
        &network,
        "--ip",
        &taken,
        &image,
        "sleep",
        "300",
    ];
    site.docker(&run);
    let cause = CAUSES.iter().find(|c| c.id == "address-taken").expect("a cause");
    let said = site.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2")]);
    site.docker(&["rm", "-f", "t-diagnosis-3-guest"]);
    note(book, "address-taken", &said, &site);
    said.ends(1).says(cause.title).says(cause.step).says("what served before still serves");
    site.up("2");
}

/// What is said in the end: what was done before depends on who was quicker.
pub(crate) fn note(book: &mut Book, title: &str, said: &Said, site: &Site) {
    let message = said.err.find("error: ").map_or("", |at| &said.err[at..]);
    let is_a_moment = |line: &&str| line.contains(" - - [");
    let mut err = message.lines().filter(|line| !is_a_moment(line)).collect::<Vec<_>>().join("\n");
    for pid in 6..=8 {
        for (before, after) in [("[FATAL tini (", ")]"), ("server process [", "]")] {
            err = err.replace(&format!("{before}{pid}{after}"), &format!("{before}7{after}"));
        }
    }
    book.note(title, &Said { code: said.code, out: String::new(), err }, site.folder());
}

#[track_caller]
fn names_the_cause(site: &Site, id: &str, words: &str, env: &[(&str, &str)], book: &mut Book) {
    let cause = CAUSES.iter().find(|c| c.id == id).expect("a cause");
    let said = site.run(&["up", "--yes", "--no-verify"], env);
    let title = if words.is_empty() { id.to_owned() } else { format!("{id} ({words})") };
    note(book, &title, &said, site);
    said.ends(1).says(cause.title).says(cause.step).says(words);
}

/// An image with one program, for another kind of processor than the engine's.
fn foreign_image() {
    let name = format!("{}/library/{OTHER_MACHINE}", mirror());
    // The header of a program for a machine that no engine runs on (SPARC), and nothing behind it.
    let mut program = b"\x7fELF\x02\x02\x01".to_vec();
    program.resize(16, 0);
    program.extend([0, 2, 0, 43]);
    program.resize(120, 0);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, "x", program.as_slice()).unwrap();
    let mut import = Command::new("docker").args(["import", "-", &name]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&tar.into_inner().unwrap()).unwrap();
    assert!(import.wait().unwrap().success());
}
