//! Files out of images at a real Nginx: what is served, for how long, and what is not.

use stackctl::base::units::Span;
use stackctl::model::assets;
use stackctl::model::limit::Limit;
use stackctl::model::native::Native;
use stackctl::model::proxy::{Backend, Cors, Folder, Route};
use stackctl::render::{Place, ProxyInput, nginx};

use crate::client::{get, statuses};
use crate::door::{OLD_AND_NEW, accepted, open_with, render};
use crate::front::{SITE, from, site};
use crate::readers::{text, yaml};
use crate::sample;

const YEAR: u64 = 31_536_000;

fn folder(path: &str, seconds: Option<u64>) -> Folder {
    Folder { service: sample::name("app"), path: path.to_owned(), cache: seconds.map(Span::seconds) }
}

fn files(path: &str, folder: &Folder) -> Route {
    Route::new(path, 20, Backend::Files(folder.clone()))
}

/// Puts a file where `up` copies those of an image to.
fn put(door: &crate::docker::Container, folder: &Folder, slot: u8, name: &str, text: &str) {
    door.put_bytes(&format!("{}/{name}", assets::folder(&folder.key(), slot)), text.as_bytes());
}

fn lead(door: &crate::docker::Container, folder: &Folder, name: &str, slot: Option<u8>) {
    let key = folder.key();
    door.put_link(&format!("live/{}", assets::link(&key, name)), &assets::target(&key, slot));
}

/// What images have in their two folders, with things that are nobody's to see.
fn fill(door: &crate::docker::Container, kept: &Folder, asked: &Folder, long: &str) {
    for (name, text) in [
        ("a.css", long),
        ("b.js", "let b;"),
        ("c.svg", "<svg/>"),
        ("d.woff2", "w"),
        ("e.unknown", "?"),
        ("a page.html", "<p>"),
        ("sub/f.png", "png"),
        (".env", "PASSWORD=x"),
        ("sub/.git/config", "x"),
    ] {
        put(door, kept, 0, name, text);
    }
    put(door, asked, 0, "photo.jpg", "jpg");
    lead(door, kept, assets::CURRENT, Some(0));
    lead(door, asked, assets::CURRENT, Some(0));
}

#[test]
fn files_are_served_as_declared_and_nothing_else_is() {
    let (kept, asked) = (folder("/app/static", Some(YEAR)), folder("/app/media", None));
    let once: Limit = sample::limit(15, "1/m", 0, None);
    let (stack, ups) = site(|proxy| {
        let cors = Cors {
            line: 20,
            origins: vec!["https://other.example".to_owned()],
            methods: vec!["GET".to_owned()],
            headers: Vec::new(),
            credentials: false,
            max_age: Span::seconds(600),
        };
        proxy.routes.push(Route { cors: Some(cors), ..files("/static/", &kept) });
        proxy.routes.push(files("/media/", &asked));
        proxy.routes.push(Route { limit: Some(once), ..files("/rare/", &kept) });
        proxy.routes.push(Route { allow: vec!["203.0.113.0/24".parse().unwrap()], ..files("/inside/", &kept) });
        proxy.routes.push(sample::route("/static/app", "app"));
    });
    for tag in OLD_AND_NEW {
        accepted(tag, "files", &render(&stack, tag, &ups, "1"));
        let door = open_with(tag, &stack, &ups);
        let long = format!("body {{}} /* {} */", "x".repeat(2000));
        fill(&door, &kept, &asked, &long);

        let control = format!("public, max-age={YEAR}, immutable");
        for (path, kind) in [
            ("/static/a.css", "text/css; charset=utf-8"),
            ("/static/b.js?v=1", "text/javascript; charset=utf-8"),
            ("/static/c.svg", "image/svg+xml"),
            ("/static/d.woff2", "font/woff2"),
            ("/static/e.unknown", "application/octet-stream"),
            ("/static/a%20page.html", "text/html; charset=utf-8"),
            ("/static/sub/f.png", "image/png"),
            ("/static/sub/../a.css", "text/css; charset=utf-8"),
        ] {
            let answer = from(&door, path, &[]);
            assert_eq!(answer.status, 200, "{tag}: {path}");
            assert_eq!(answer.all("content-type"), [kind], "{tag}: {path}");
            assert_eq!(answer.all("cache-control"), [control.as_str()], "{tag}: {path}");
        }
        assert_eq!(from(&door, "/media/photo.jpg", &[]).all("cache-control"), ["no-cache"], "{tag}");
        // The service's own answers keep what it says of them.
        assert_eq!(from(&door, "/", &[]).all("cache-control"), Vec::<&str>::new(), "{tag}");

        // Compressed, and not sent again to those who have it, or only in part.
        let plain = from(&door, "/static/a.css", &[]);
        assert_eq!(plain.body, long, "{tag}");
        let packed = from(&door, "/static/a.css", &["Accept-Encoding: gzip"]);
        assert_eq!(
            (packed.all("content-encoding"), packed.all("vary")),
            (vec!["gzip"], vec!["Accept-Encoding", "Origin"]),
            "{tag}"
        );
        for (header, source) in [("If-None-Match", "etag"), ("If-Modified-Since", "last-modified")] {
            let known = format!("{header}: {}", plain.all(source)[0]);
            let again = from(&door, "/static/a.css", &[&known]);
            assert_eq!((again.status, again.all("cache-control")), (304, vec![control.as_str()]), "{tag}: {header}");
        }
        let part = from(&door, "/static/a.css", &["Range: bytes=0-3"]);
        assert_eq!((part.status, part.body.as_str()), (206, "body"), "{tag}");

        // Everything else: nothing, and nobody keeps it.
        for path in ["/static/none.css", "/static/", "/static/sub", "/static/sub/", "/static/%2e%2e/current/nginx.conf"]
        {
            let answer = from(&door, path, &[]);
            // What leads up is another path: the service's.
            let status = if path.contains("%2e") { 200 } else { 404 };
            assert_eq!(answer.status, status, "{tag}: {path}: {}", answer.body);
            assert!(!answer.body.contains("worker_processes"), "{tag}: {path}");
            if status == 404 {
                assert_eq!(answer.all("cache-control"), ["no-store"], "{tag}: {path}");
            }
        }
        for path in ["/static/.env", "/static/sub/.git/config", "/static/sub/%2egit/config"] {
            let answer = from(&door, path, &[]);
            assert!(answer.status == 404 && !answer.body.contains("PASSWORD"), "{tag}: {path}");
        }
        assert!(from(&door, "/static", &[]).body.starts_with("app"), "{tag}: that is not below it");
        assert!(from(&door, "/static/app", &[]).body.starts_with("app"), "{tag}: the longest path wins");
        let posted = crate::client::ask(&door, &format!("{SITE}/static/a.css"), &["--data", "x"]).unwrap();
        assert_eq!(posted.status, 405, "{tag}");

        // With every header once, whatever the answer; for sites that may, and only as often as its own limit says.
        for (path, headers) in [
            ("/static/a.css", vec![]),
            ("/static/a.css", vec!["If-None-Match: *"]),
            ("/static/none", vec![]),
            ("/inside/a.css", vec![]),
        ] {
            let answer = from(&door, path, &headers);
            for name in ["x-frame-options", "x-content-type-options", "referrer-policy", "content-security-policy"] {
                assert_eq!(answer.all(name).len(), 1, "{tag}: {} {path}: {name}", answer.status);
            }
        }
        let other = from(&door, "/static/a.css", &["Origin: https://other.example"]);
        assert_eq!(other.all("access-control-allow-origin"), ["https://other.example"], "{tag}");
        assert_eq!(get(&door, &format!("{SITE}/inside/a.css")).status, 403, "{tag}");
        assert_eq!(statuses(&door, &format!("{SITE}/rare/a.css"), 2), [200, 429], "{tag}");
        let refused = from(&door, "/rare/a.css", &[]);
        assert_eq!((refused.status, refused.all("cache-control")), (429, vec!["no-store"]), "{tag}");
    }
}

#[test]
fn old_pages_find_their_files_and_new_ones_come_first() {
    let kept = folder("/app/static", Some(YEAR));
    let (stack, ups) = site(|proxy| proxy.routes.push(files("/static/", &kept)));
    for tag in OLD_AND_NEW {
        let door = open_with(tag, &stack, &ups);
        let body = |name: &str| {
            let answer = get(&door, &format!("{SITE}/static/{name}"));
            if answer.status == 200 { answer.body } else { answer.status.to_string() }
        };
        assert_eq!(body("app.css"), "404", "{tag}: nothing was copied yet");
        for (slot, only) in [(0, "old.1.js"), (1, "new.2.js"), (2, "next.3.js")] {
            put(&door, &kept, slot, "app.css", &format!("of {slot}"));
            put(&door, &kept, slot, only, "own");
        }
        lead(&door, &kept, assets::CURRENT, Some(0));
        assert_eq!((body("app.css").as_str(), body("new.2.js").as_str()), ("of 0", "404"), "{tag}");
        // Copied: there before anybody needs it, and nothing that was there changes.
        lead(&door, &kept, assets::NEXT, Some(1));
        assert_eq!((body("app.css").as_str(), body("new.2.js").as_str()), ("of 0", "own"), "{tag}");
        // Switched, without a reload: pages of before still find what they name.
        lead(&door, &kept, assets::BEFORE, Some(0));
        lead(&door, &kept, assets::CURRENT, Some(1));
        assert_eq!((body("app.css").as_str(), body("old.1.js").as_str()), ("of 1", "own"), "{tag}");
        // The one after that: those of the first are gone.
        lead(&door, &kept, assets::NEXT, Some(2));
        lead(&door, &kept, assets::BEFORE, Some(1));
        lead(&door, &kept, assets::CURRENT, Some(2));
        assert_eq!([body("old.1.js"), body("new.2.js"), body("next.3.js")], ["404", "own", "own"], "{tag}");
    }
}

/// What Compose mounts where, whatever the folder is called.
#[test]
fn compose_and_hosts_serve_the_same_folder() {
    for name in ["static", "a b", "it's \"quoted\"", "ä: #x", "50%"] {
        let path = format!("/app/{name}");
        let folder = folder(&path, None);
        let (mut stack, _) = site(|proxy| proxy.routes.push(files("/static/", &folder)));
        let compose = yaml(text(&stackctl::render::compose(&stack, ".").unwrap()));
        let door = &compose["services"]["proxy"]["volumes"][1];
        let own = &compose["services"]["app"]["volumes"][0];
        assert_eq!(own["target"], path);
        assert_eq!((&door["source"], &door["read_only"]), (&own["source"], &serde_json::json!(true)));
        assert_eq!(door["target"], format!("/run/stackctl/live/{}.current", folder.key()));
        assert_eq!(
            compose["volumes"].as_object().map(|all| all.keys().collect::<Vec<_>>()),
            Some(vec![&own["source"].as_str().unwrap().to_owned()])
        );

        // On a host: below the program's folder, whatever the image calls that.
        let app = stack.services.get_mut("app").unwrap();
        app.native = Some(Native { line: 3, folder: "/opt/sum".to_owned(), user: None, command: None });
        for (home, expected) in [
            (None, name.to_owned()),
            (Some("/app/"), name.to_owned()),
            (Some("/srv"), name.to_owned()),
            (Some("/"), format!("app/{name}")),
        ] {
            let app = stack.services.get_mut("app").unwrap();
            app.runtime.working_dir = home.map(str::to_owned);
            let text = on_host(&stack);
            let root = text.lines().map(str::trim).find_map(|line| line.strip_prefix("root ")).expect("a root");
            let root = root.trim_end_matches(';');
            let quoted = root.strip_prefix('"').and_then(|root| root.strip_suffix('"'));
            let root = quoted.unwrap_or(root).replace("\\\"", "\"");
            assert_eq!(root, format!("/opt/sum/{expected}"), "{home:?}");
        }
        stack.services.get_mut("app").unwrap().native = None;
        assert!(on_host(&stack).contains("# files of app, which is not here"));
    }
}

fn on_host(stack: &stackctl::model::stack::Stack) -> String {
    let input = ProxyInput {
        stack,
        proxy: stack.proxy.as_ref().unwrap(),
        upstreams: &std::collections::BTreeMap::new(),
        certificate: None,
        facts: stack.proxy.as_ref().unwrap().nginx,
        trusted_probe: Vec::new(),
        release: None,
        place: Place::Host,
    };
    let files = nginx(&input).unwrap();
    files[0].content.expose().to_owned()
}
