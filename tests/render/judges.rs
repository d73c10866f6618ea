//! Nginx's configuration before those who read it without being Nginx: crossplane, which parses it, and Gixy, which
//! knows what gets people hacked. Both come from `PyPI` in the versions that `tests/images/judges` pins.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use stackctl::base::units::Span;
use stackctl::model::artifact::Artifact;
use stackctl::model::proxy::{Balance, Connections, Cors};
use stackctl::model::stack::Stack;

use crate::readers::feed;
use crate::{golden, sample};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What Gixy calls medium or worse and is meant, with a word of the place and the reason.
const EXCEPTIONS: [(&str, &str, &str); 8] = [
    ("ssrf", "$stackctl_candidate", "the map lets only addresses of this stack through, for those the listener admits"),
    ("missing_resolver", "$stackctl_candidate", "always an address, by the same map: there is no name to look up"),
    ("http_splitting", "$stackctl_cache_control", "what is mapped is a constant that a location sets, and a status"),
    (
        "try_files_is_evil_too",
        "try_files",
        "links to the files of a release are looked at anew by each request, so that they can be switched: no cache of files",
    ),
    (
        "status_page_exposed",
        "/stackctl/status",
        "its server answers 403 to everybody but this container and those who probe it, whatever the location",
    ),
    (
        "if_is_evil",
        "if ($stackctl_over)",
        "only `set` and `return` stand there, which Nginx does in their order and nothing else",
    ),
    (
        "return_bypasses_allow_deny",
        "if ($stackctl_over)",
        "a stranger who asks too often is told so instead of being told that he is one: turned away either way",
    ),
    (
        "worker_rlimit_nofile_vs_connections",
        "worker_connections",
        "the engine sets the limit of files; Nginx has no right to raise it",
    ),
];

fn tool(name: &str) -> PathBuf {
    Path::new(ROOT).join("target/tools/judges").join(name)
}

/// What a program in Python prints; it must succeed.
pub(crate) fn python(program: &str, input: &str) -> String {
    let (good, output) = feed("python3", &["-c", program], input);
    assert!(good, "{output}");
    output
}

fn put(folder: &Path, files: &[Artifact]) -> PathBuf {
    for file in files {
        let path = folder.join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file.content.expose()).unwrap();
    }
    folder.join("nginx.conf")
}

/// `{"tree": [[directive, arguments, block], …], "errors": […]}` of each configuration.
fn parsed(paths: &[PathBuf]) -> Vec<Value> {
    let program = "
import crossplane, json, sys
def tree(block):
    return [[d['directive'], d['args'], tree(d.get('block', []))] for d in block]
out = []
for path in json.load(sys.stdin):
    parsed = crossplane.parse(path, combine=True)
    errors = [e['error'] for e in parsed['errors']]
    out.append({'errors': errors, 'tree': [tree(c['parsed']) for c in parsed['config']]})
json.dump(out, sys.stdout)
";
    let python = tool("crossplane/bin/python");
    let (good, output) = feed(&python.display().to_string(), &["-c", program], serde_json::to_string(paths).unwrap());
    assert!(good, "{output}");
    serde_json::from_str(&output).unwrap()
}

/// Front doors as crossplane reads them.
pub(crate) fn crossplane(doors: &[Vec<Artifact>]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> =
        doors.iter().enumerate().map(|(number, files)| put(&folder.path().join(number.to_string()), files)).collect();
    parsed(&paths)
}

/// What Gixy finds, medium and worse: the check, and where.
fn gixy(paths: &[PathBuf]) -> Vec<(String, String)> {
    let output = Command::new(tool("gixy/bin/gixy")).args(["-ll", "-f", "json"]).args(paths).output();
    let output = output.expect("`make tools` gets it");
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    found.as_array().unwrap().iter().map(|f| (word(f, "plugin"), word(f, "config"))).collect()
}

fn meant((plugin, place): &(String, String)) -> bool {
    EXCEPTIONS.iter().any(|(excepted, word, _)| plugin == excepted && place.contains(word))
}

/// Everything the front door can be told, on one door.
fn rich() -> Stack {
    let mut stack = sample::full();
    let proxy = stack.proxy.as_mut().unwrap();
    proxy.closed = vec!["/metrics".to_owned(), "/debug".to_owned()];
    proxy.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    proxy.routes[0].cors = Some(Cors {
        line: 30,
        origins: vec!["https://app.example".to_owned()],
        methods: vec!["GET".to_owned()],
        headers: vec!["Content-Type".to_owned()],
        credentials: true,
        max_age: Span::seconds(600),
    });
    proxy.pages = [(404, "<h1>$uri \"; } {</h1>\n".repeat(300)), (503, "<p>Back soon.</p>".to_owned())].into();
    let route = &mut proxy.routes[2];
    route.connections = Some(Connections { most: 2, declared: "/pages/".to_owned() });
    route.allow = vec!["192.0.2.0/24".parse().unwrap()];
    route.balance = Balance::LeastConnections;
    route.limit = Some(sample::quota(40, "5/hour"));
    stack
}

/// The folder into which `stackctl render` writes a stack of this project.
pub(crate) fn rendered(file: &str, folder: &Path) -> PathBuf {
    let file = Path::new(ROOT).join(file);
    let into = folder.join(file.file_stem().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_stackctl"))
        .arg("--file")
        .arg(&file)
        .args(["render", "--no-secrets"])
        .arg(&into)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    into
}

/// Front doors of the stacks of the guides and of the example: of containers, and of hosts where there are any.
fn six_stacks(folder: &Path) -> Vec<PathBuf> {
    let guides = ["storm", "sum", "aigov", "ai-search", "research-assistant"].map(|n| format!("tests/stacks/{n}.toml"));
    let mut paths = Vec::new();
    for file in guides.iter().map(String::as_str).chain(["stack.example.toml"]) {
        let into = rendered(file, folder);
        paths.push(into.join("nginx/nginx.conf"));
        let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
        paths.extend(Some(into.join(format!("native/etc/{name}/nginx/nginx.conf"))).filter(|path| path.exists()));
    }
    assert_eq!(paths.len(), 9, "six for containers, three for hosts");
    paths
}

#[test]
fn the_judges_find_nothing_that_is_not_meant() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = six_stacks(folder.path());
    for tag in ["nginx:1.22", "nginx:1.26", "nginx:1.30"] {
        let files = golden::front_door(&rich(), tag).unwrap();
        paths.push(put(&folder.path().join(tag.replace(':', "-")), &files));
    }
    for (path, read) in paths.iter().zip(parsed(&paths)) {
        assert_eq!(read["errors"], serde_json::json!([]), "{}", path.display());
        assert!(read["tree"].to_string().contains("proxy_pass"), "{}", path.display());
    }
    let found = gixy(&paths);
    let unmeant: Vec<_> = found.iter().filter(|finding| !meant(finding)).collect();
    assert!(unmeant.is_empty(), "{unmeant:#?}");
    for (plugin, word, why) in EXCEPTIONS {
        let used = found.iter().any(|(found, place)| found == plugin && place.contains(word));
        assert!(used, "{plugin} is not found any more: no exception is needed ({why})");
    }
}

#[test]
fn the_judges_turn_broken_doors_down() {
    let folder = tempfile::tempdir().unwrap();
    let good = golden::front_door(&rich(), "nginx:1.30").unwrap();
    let broken = |name: &str, from: &str, to: &str| {
        let path = put(&folder.path().join(name), &good);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        path
    };
    for (from, to) in [
        ("return 444;", "return 444"),
        ("events {", "events {{"),
        ("sendfile on;", "sendfile;"),
        ("        server_name _;", "        worker_processes 1;"),
    ] {
        let path = broken("unread", from, to);
        let read = parsed(&[path]);
        assert_ne!(read[0]["errors"], serde_json::json!([]), "crossplane: {from} → {to}");
    }
    for (plugin, from, to) in [
        ("http_splitting", "return 444;", "return 302 https://$host$uri;"),
        ("ssrf", "return 444;", "location ~ /to/(.*) { proxy_pass http://$1; }"),
        (
            "host_spoofing",
            "return 444;",
            "location /a { proxy_set_header Host $http_host; proxy_pass http://10.0.0.1; }",
        ),
    ] {
        let path = broken("unsafe", from, to);
        let found: Vec<_> = gixy(&[path]).into_iter().filter(|finding| !meant(finding)).collect();
        assert!(found.iter().any(|(name, _)| name == plugin), "gixy: {from} → {to}: {found:?}");
    }
}
