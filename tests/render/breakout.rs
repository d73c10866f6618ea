//! Nothing that comes from stack.toml ends a token: what programs read back is what went in.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use stackctl::base::units::Span;
use stackctl::model::limit::Limit;
use stackctl::model::proxy::{Backend, Cors, Folder, Route, Tls};
use stackctl::model::runtime::{Device, Logging, Runtime, Ulimit};
use stackctl::model::secrets::Template;
use stackctl::model::service::{Ask, Build, Image, ProjectFile, VolumeMount};
use stackctl::model::stack::Stack;
use stackctl::render::{Found, RenderError, ScrapeTarget, compose, prometheus, systemd};

use crate::readers::{docker_compose, text, yaml};
use crate::{client, door, golden, sample};

/// Everything that means something to one of the formats.
pub(crate) const HOSTILE: [&str; 13] = [
    "\"; } server { listen 99; } # ' \\",
    "\" ' \\ ; { } % # {{ name }} {% raw %} ${HOME} $$ $uri",
    "line\nbreak: [x]",
    "carriage\r\nreturn",
    "\u{2028}line\u{2029}separators\u{85}and\u{feff}marks",
    "tab\tbell\u{7}escape\u{1b}delete\u{7f}",
    "\";\n}\nserver { listen 99; }\n#",
    "- x: !!python/object {}",
    "*alias &anchor",
    "true",
    "trailing backslash \\",
    " spaces around ",
    "\u{e9}\u{1f600}",
];

/// All strings of a stack that can hold anything, set to one value.
pub(crate) fn everywhere(value: &str) -> Stack {
    let mut stack = sample::full();
    let app = stack.services.get_mut("app").unwrap();
    let words = || Some(vec![value.to_owned(), value.to_owned()]);
    app.image = Image::Build(Build {
        name: sample::name("app"),
        context: value.to_owned(),
        dockerfile: value.to_owned(),
        target: Some(value.to_owned()),
        args: [(value.to_owned(), value.to_owned())].into(),
        platform: Some(value.to_owned()),
        secrets: [].into(),
    });
    (app.command, app.entrypoint, app.pre_deploy) = (words(), words(), words());
    app.user = Some(value.to_owned());
    app.environment = [(value.to_owned(), Template::text(value))].into();
    app.files = [(value.to_owned(), Template::text(value))].into();
    app.volumes =
        vec![VolumeMount { volume: value.to_owned(), target: value.to_owned(), read_only: false, shared: true }];
    app.tmpfs = [(value.to_owned(), value.to_owned())].into();
    app.health = Some(sample::health(Ask::Command(words().unwrap())));
    app.cap_add = [value.to_owned()].into();
    app.stop_signal = Some(value.to_owned());
    app.project_files = vec![ProjectFile { source: value.to_owned(), target: value.to_owned(), files: Vec::new() }];
    app.runtime = Runtime {
        working_dir: Some(value.to_owned()),
        ulimits: [(value.to_owned(), Ulimit { soft: 1, hard: 2 })].into(),
        devices: vec![Device { host: value.to_owned(), container: value.to_owned(), permissions: value.to_owned() }],
        extra_hosts: [(value.to_owned(), value.to_owned())].into(),
        labels: [(value.to_owned(), value.to_owned())].into(),
        logging: Some(Logging { driver: value.to_owned(), options: [(value.to_owned(), value.to_owned())].into() }),
        ..Runtime::default()
    };
    let postgres = stack.services.get_mut("postgres").unwrap();
    postgres.health = Some(sample::health(Ask::Postgres { user: value.to_owned(), database: value.to_owned() }));
    postgres.image = Image::Pull(value.to_owned());
    value.clone_into(&mut stack.proxy.as_mut().unwrap().image);
    stack
}

#[test]
fn compose_holds_any_string() {
    for value in HOSTILE {
        let files = compose(&everywhere(value), ".").unwrap();
        let read = yaml(text(&files));
        // Compose makes one `$` of two when it puts variables in.
        let wanted = value.replace('$', "$$");
        let app = &read["services"]["app"];
        let key = wanted.as_str();
        for (what, found) in [
            ("context", &app["build"]["context"]),
            ("dockerfile", &app["build"]["dockerfile"]),
            ("target", &app["build"]["target"]),
            ("argument", &app["build"]["args"][key]),
            ("command", &app["command"][1]),
            ("entry point", &app["entrypoint"][1]),
            ("pre-deploy", &read["services"]["app-pre-deploy"]["command"][1]),
            ("user", &app["user"]),
            ("environment", &app["environment"][key]),
            ("file", &app["secrets"][0]["target"]),
            ("volume", &app["volumes"][0]["source"]),
            ("target of a volume", &app["volumes"][0]["target"]),
            ("health", &app["healthcheck"]["test"][2]),
            ("capability", &app["cap_add"][0]),
            ("stop signal", &app["stop_signal"]),
            ("working directory", &app["working_dir"]),
            ("label", &app["labels"][key]),
            ("log driver", &app["logging"]["driver"]),
            ("log option", &app["logging"]["options"][key]),
            ("target of a file", &app["volumes"][2]["target"]),
            ("image", &read["services"]["postgres"]["image"]),
            ("image of the proxy", &read["services"]["proxy"]["image"]),
            ("user of postgres", &read["services"]["postgres"]["healthcheck"]["test"][4]),
        ] {
            assert_eq!(found.as_str(), Some(key), "{what} of {value:?}");
        }
        assert_eq!(app["extra_hosts"][0], format!("{wanted}:{wanted}"), "{value:?}");
        assert_eq!(app["devices"][0], format!("{wanted}:{wanted}:{wanted}"), "{value:?}");
        assert!(app["ulimits"][key].is_object(), "{value:?}");
        assert!(app["tmpfs"].as_array().unwrap().iter().any(|t| *t == format!("{wanted}:{wanted}")), "{value:?}");
        assert!(read["volumes"][key].is_object(), "{value:?}");
        let keys: Vec<&String> = app.as_object().unwrap().keys().collect();
        let plain: Vec<String> = yaml(text(&compose(&everywhere("plain"), ".").unwrap()))["services"]["app"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(keys, plain.iter().collect::<Vec<_>>(), "no key more or less for {value:?}");
    }
}

#[test]
fn compose_itself_agrees() {
    for value in HOSTILE {
        let mut stack = sample::full();
        let app = stack.services.get_mut("app").unwrap();
        app.environment = [("KEY".to_owned(), Template::text(value))].into();
        app.command = Some(vec![value.to_owned()]);
        let (good, output) = docker_compose(text(&compose(&stack, ".").unwrap()));
        assert!(good, "{value:?}: {output}");
        let found = yaml(&output)["services"]["app"]["environment"]["KEY"].as_str().map(|t| t.replace("$$", "$"));
        // Compose prints `$` doubled once more.
        assert_eq!(found.as_deref(), Some(value), "{output}");
    }
}

#[test]
fn prometheus_holds_any_string_or_refuses() {
    for value in HOSTILE {
        let mut stack = sample::full();
        stack.stage = Some(value.to_owned());
        let path = format!("/{value}");
        stack.services.get_mut("app").unwrap().metrics = Some(path.clone());
        let target = ScrapeTarget { service: sample::name("app"), replica: 1, address: value.to_owned() };
        match prometheus(&stack, Found::At(&[target])) {
            Err(RenderError::Value { value: named, .. }) => {
                assert!(value.contains('$') && named.contains(value), "{value:?} refused as {named:?}");
            }
            Err(other) => panic!("{value:?}: {other}"),
            Ok(files) => {
                let read = yaml(text(&files));
                let job = &read["scrape_configs"][1];
                assert_eq!(read["global"]["external_labels"]["stage"], value);
                assert_eq!(job["metrics_path"], path);
                assert_eq!(job["static_configs"][0]["targets"][0], value);
            }
        }
    }
}

/// The command line as systemd itself understood the unit.
pub(crate) fn command_line(unit: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    // Here there is no engine to be required.
    std::fs::write(home.join("sum.service"), unit.replace("Requires=docker.service\n", "")).unwrap();
    let mut systemd = Command::new("/lib/systemd/systemd");
    systemd.args(["--test", "--user", "--unit=sum.service"]).env_clear().env("HOME", home);
    systemd
        .env("SYSTEMD_UNIT_PATH", format!("{}:", home.display()))
        .env("XDG_RUNTIME_DIR", home)
        .env("LC_ALL", "C.UTF-8");
    let me = Command::new("id").arg("-u").output().unwrap();
    if me.stdout == b"0\n" {
        // It will not test as root.
        Command::new("chown").args(["-R", "65534"]).arg(home).status().unwrap();
        systemd.uid(65534);
    }
    let output = systemd.output().expect("systemd is needed");
    let dump = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let own = dump.split("Unit sum.service:").nth(1).unwrap_or_else(|| panic!("{dump}"));
    let line =
        own.lines().find_map(|line| line.trim().strip_prefix("Command Line: ")).unwrap_or_else(|| panic!("{own}"));
    line.to_owned()
}

/// Arguments as systemd prints them: in double quotes with C escapes where they need it.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (Vec::new(), false);
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b' ' if !quoted => words.push(String::from_utf8(std::mem::take(&mut word)).unwrap()),
            b'\\' => {
                let escape = bytes.next().unwrap();
                let number =
                    |digits: &[u8], base| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), base).unwrap();
                word.push(match escape {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => 9,
                    b'n' => 10,
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => 13,
                    b'x' => number(&[bytes.next().unwrap(), bytes.next().unwrap()], 16),
                    b'0'..=b'7' => number(&[escape, bytes.next().unwrap(), bytes.next().unwrap()], 8),
                    other => other,
                });
            }
            other => word.push(other),
        }
    }
    words.push(String::from_utf8(word).unwrap());
    words
}

#[test]
fn systemd_holds_any_string() {
    for value in HOSTILE {
        let mut stack = sample::full();
        stack.stage = Some(value.to_owned());
        let file = format!("/srv/{value}");
        let unit = systemd(&stack, "/bin/true", &file).unwrap();
        let line = command_line(text(&unit));
        // `$$` is left for the start of the program.
        let words: Vec<String> = words(&line).iter().map(|word| word.replace("$$", "$")).collect();
        assert_eq!(words, ["/bin/true", "--file", &file, "--stage", value, "up", "--yes"], "{line}");
    }
}

pub(crate) type Place = fn(&mut Stack, &str);

/// Every place of a stack that reaches Nginx and can hold any text.
pub(crate) const PLACES: [Place; 11] = [
    |stack, value| drop(stack.proxy.as_mut().unwrap().headers.insert("X-Own".to_owned(), value.to_owned())),
    |stack, value| {
        drop(stack.proxy.as_mut().unwrap().headers.insert("Strict-Transport-Security".to_owned(), value.to_owned()));
    },
    |stack, value| stack.proxy.as_mut().unwrap().routes.push(sample::route(&format!("/route{value}"), "app")),
    |stack, value| {
        let folder = Folder { service: sample::name("app"), path: format!("/app/{value}"), cache: None };
        let files = Route::new(format!("/files{value}/"), 20, Backend::Files(folder));
        stack.proxy.as_mut().unwrap().routes.push(files);
    },
    |stack, value| stack.proxy.as_mut().unwrap().closed.push(format!("/closed{value}")),
    |stack, value| cors(stack, &format!("https://{value}"), "GET", "X-Own"),
    |stack, value| cors(stack, "*", value, "X-Own"),
    |stack, value| cors(stack, "*", "GET", value),
    |stack, value| {
        let proxy = stack.proxy.as_mut().unwrap();
        proxy.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        value.clone_into(&mut proxy.real_ip_header);
    },
    |stack, value| {
        let health = sample::health(Ask::Http(format!("/health{value}")));
        stack.services.get_mut("app").unwrap().health = Some(health);
    },
    |stack, value| stack.services.get_mut("app").unwrap().metrics = Some(format!("/metrics{value}")),
];

fn cors(stack: &mut Stack, origin: &str, method: &str, header: &str) {
    stack.proxy.as_mut().unwrap().routes[0].cors = Some(Cors {
        line: 30,
        origins: vec![origin.to_owned()],
        methods: vec![method.to_owned()],
        headers: vec![header.to_owned()],
        credentials: true,
        max_age: Span::seconds(1),
    });
}

#[test]
fn nginx_refuses_a_key_that_is_no_header() {
    for value in HOSTILE.iter().filter(|value| **value != "true").chain(&["", "x_y", "\u{e9}"]) {
        let mut stack = sample::full();
        for kind in [sample::limit(14, "1/s", 1, None), sample::quota(14, "1/hour")] {
            let limit = Limit { key: Some((*value).to_owned()), ..kind };
            stack.proxy.as_mut().unwrap().routes[0].limit = Some(limit);
            let found = golden::front_door(&stack, "nginx:1.30");
            assert!(matches!(found, Err(RenderError::Value { .. })), "{value:?}: {found:?}");
        }
    }
}

#[test]
fn nginx_holds_a_value_or_names_it() {
    for value in HOSTILE {
        let spoiled = value.contains('$') || value.chars().any(char::is_control);
        let mut all = sample::full();
        for (place, number) in PLACES.iter().zip(0..) {
            place(&mut all, value);
            let mut alone = sample::full();
            place(&mut alone, value);
            match golden::front_door(&alone, "nginx:1.30") {
                Ok(_) if !spoiled => {}
                // A query or a fragment is no part of a path: what is before it may be harmless.
                Ok(_) if number > 8 => {}
                Err(RenderError::Value { value: named, .. }) if spoiled => {
                    let named = ["/route", "/files", "/health", "/metrics", "/closed", "8:https://", "1:https://"]
                        .iter()
                        .find_map(|p| named.strip_prefix(p))
                        .unwrap_or(&named);
                    assert!(value.starts_with(named.trim_end_matches('/')), "{value:?} refused as {named:?}");
                }
                other => panic!("place {number}, {value:?}: {other:?}"),
            }
        }
        if !spoiled {
            let files = golden::front_door(&all, "nginx:1.30").unwrap();
            door::accepted("1.30", &format!("{value:?} everywhere"), &files);
        }
    }
}

#[test]
fn nginx_sends_and_routes_hostile_text_as_it_is() {
    let text = "\" ' \\ ; { } % # {{ name }} \\n \\z";
    let (door, mut stack, ups, _) = door::open("1.30");
    let proxy = stack.proxy.as_mut().unwrap();
    proxy.headers.insert("X-Own".to_owned(), text.to_owned());
    proxy.routes.push(sample::route(&format!("/odd{text}/"), "later"));
    proxy.hsts = Some(Span::seconds(1));
    assert!(!matches!(proxy.tls, Tls::Off));
    door.switch("b", &door::render(&stack, "1.30", &ups, "8"));
    door.signal("HUP");
    let answer = client::get(&door, "https://sum.example.com/");
    assert_eq!(answer.all("x-own"), [text]);
    let path = stackctl::model::secrets::percent_encode(text);
    assert_eq!(client::get(&door, &format!("https://sum.example.com/odd{path}/x")).status, 503);
    assert_eq!(client::get(&door, "https://sum.example.com/odd/x").status, 200);
}

#[test]
fn nginx_refuses_headers_and_targets_that_are_none() {
    for name in ["", "X Y", "X:Y", "X\r\nY", "Content-Length", "server", "x-frame-options"] {
        let mut stack = sample::full();
        stack.proxy.as_mut().unwrap().headers.insert(name.to_owned(), "x".to_owned());
        assert!(matches!(golden::front_door(&stack, "nginx:1.30"), Err(RenderError::Header { .. })), "{name:?}");
    }
    for target in ["app", "app:", "app:x", ":80", "a b:80", "a;b:80", "a:80;", "[::1]:80", "unix:/x", "10.0.0.1:70000"]
    {
        let stack = sample::full();
        let found = golden::front_door_to(&stack, target);
        assert!(matches!(found, Err(RenderError::Value { .. })), "{target:?}: {found:?}");
    }
}
