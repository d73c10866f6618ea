//! Files out of the app's image: there before the release that names them, there until the one after, copied once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::support::{Site, root, slim};

const NAME: &str = "t-files";
const PORT: u16 = 18271;

fn stack(routes: &str) -> String {
    let app = root().join("tests/sample-app").display().to_string();
    let text = slim(NAME, PORT).replace(&app, "app").replace("replicas    = 3", "replicas    = 2");
    format!("{text}{routes}")
}

const FILES: &str = "\"/static/\" = { files = \"app:/srv/app/static\", cache = \"1y\" }\n";

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Slots with files in them.
fn kept(site: &Site) -> usize {
    let volume = format!("{NAME}_proxy-files");
    let door = format!("{NAME}-proxy-1");
    let list = site.docker(&["exec", &door, "sh", "-c", "ls -d /run/stackctl/assets/*/ 2>/dev/null"]);
    assert!(site.list("volume").contains(&volume));
    list.lines().count()
}

#[test]
fn files_of_the_image_are_there_before_and_after() {
    let site = Site::new(&stack(FILES), NAME, PORT);
    copy(&root().join("tests/sample-app"), &site.folder().join("app"));
    let assets = site.folder().join("app/app/static");
    let write = |name: &str| std::fs::write(assets.join(name), name).unwrap();
    let remove = |name: &str| std::fs::remove_file(assets.join(name)).unwrap();
    let status = |name: &str| site.get(&format!("/static/{name}")).unwrap().0;
    write("one.js");
    write(".secret");
    std::os::unix::fs::symlink("one.js", assets.join("link.js")).unwrap();
    let said = site.run(&["plan"], &[("APP_VERSION", "1")]).ends(0);
    said.says("copy /srv/app/static out of t-files-app:").says("the front door serves them itself");
    site.up("1");
    site.nothing_to_do("1");
    assert_eq!(site.get("/static/one.js").unwrap(), (200, "one.js".to_owned()));
    assert_eq!((status("link.js"), status(".secret"), status("")), (200, 404, 404));
    let made = site.docker(&["ps", "-a", "--format", "{{.Names}}"]);
    assert!(!made.lines().any(|name| name.starts_with(NAME) && name.contains("-stackctl-")), "left behind: {made}");
    // From outside, and with the engine's help.
    let said = site.run(&["--json", "verify", "--only", "FIL,CMP,HDR"], &[("APP_VERSION", "1")]);
    said.says("/static/app.css: text/css; charset=utf-8, `public, max-age=31536000, immutable`, compressed");

    // Somebody takes it away: found.
    let volume = format!("{NAME}_proxy-files:/v");
    let by_hand = |script: &str| {
        let image = site.docker(&["inspect", "-f", "{{.Image}}", &format!("{NAME}-app-1")]);
        let run = [
            "run",
            "--rm",
            "--user",
            "0",
            "--network",
            "none",
            "--entrypoint",
            "sh",
            "-v",
            &volume,
            image.trim(),
            "-c",
            script,
        ];
        site.docker(&run);
    };
    by_hand("cd /v/assets/*/ && mv app.css gone.css");
    let said = site.run(&["verify", "--only", "FIL"], &[("APP_VERSION", "1")]).ends(4);
    said.says("FIL-1").says("/static/app.css is answered with 404");
    by_hand("cd /v/assets/*/ && mv gone.css app.css");
    site.run(&["verify", "--only", "FIL"], &[("APP_VERSION", "1")]).ends(0);

    // Another environment, the same image: nothing is copied.
    let plan = site.run(&["plan"], &[("APP_VERSION", "2")]).ends(0);
    assert!(!plan.out.contains("copy /srv") && !plan.out.contains("old files"), "{}", plan.out);

    // Another image: its file is there before the first page that names it, and those of before stay.
    remove("one.js");
    std::fs::remove_file(assets.join("link.js")).unwrap();
    write("two.js");
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let watcher = std::thread::spawn(move || {
        let (mut seen, mut wrong) = (0, Vec::new());
        while !stopped.load(Ordering::Relaxed) {
            let ask = |path: &str| super::support::get(("127.0.0.1", PORT), path);
            let version = ask("/health").is_ok_and(|(_, body)| body.contains("\"version\":\"2\""));
            if !matches!(ask("/static/one.js"), Ok((200, _))) {
                wrong.push("one.js".to_owned());
            }
            if version {
                seen += 1;
                if !matches!(ask("/static/two.js"), Ok((200, _))) {
                    wrong.push("two.js".to_owned());
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        (seen, wrong)
    });
    let said = site.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2")]).ends(0);
    assert!(!said.err.contains("reload"), "{}", said.err);
    stop.store(true, Ordering::Relaxed);
    let (seen, wrong) = watcher.join().unwrap();
    assert!(seen > 0 && wrong.is_empty(), "{seen} pages of the new one seen; missing: {wrong:?}");
    assert_eq!((status("one.js"), status("two.js"), kept(&site)), (200, 200, 2));
    site.nothing_to_do("2");

    // One that fails leaves what serves; the next run takes its files away.
    write("failed.js");
    site.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "3"), ("FAULT", "unhealthy"), ("START", "3s")]).ends(1);
    assert_eq!((status("one.js"), status("two.js")), (200, 200));
    remove("failed.js");
    site.up("2");
    assert_eq!((status("one.js"), status("two.js"), status("failed.js"), kept(&site)), (200, 200, 404, 2));

    // Back: both are there already.
    let said = site.run(&["rollback", "--yes", "--no-verify", "1"], &[("APP_VERSION", "2")]).ends(0);
    assert!(!said.err.contains("copy /srv"), "{}", said.err);
    assert_eq!((status("one.js"), status("two.js"), kept(&site)), (200, 200, 2));

    // A link that leads out, a folder that is not there: said, and nothing has changed.
    std::os::unix::fs::symlink("/etc/passwd", assets.join("passwd.txt")).unwrap();
    let said = site.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2")]).ends(1);
    said.says("links lead out of it: passwd.txt → /etc/passwd").says("nothing has been switched");
    std::fs::remove_file(assets.join("passwd.txt")).unwrap();
    site.write(&stack("\"/static/\" = { files = \"app:/srv/none\" }\n"));
    let said = site.run(&["up", "--yes", "--no-verify"], &[("APP_VERSION", "2")]).ends(1);
    said.says("has no folder /srv/none").says("nothing has been switched");
    assert_eq!(status("one.js"), 200);

    // Without the route, nothing of it stays.
    site.write(&stack(""));
    site.up("2");
    assert_eq!(kept(&site), 0);
    site.nothing_to_do("2");
}
