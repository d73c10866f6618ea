//! A folder with nothing but a program comes up with what `init` writes.

use std::fs;
use std::path::Path;

use super::support::{Site, root};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_sample_app_comes_up_with_what_init_writes() {
    let site = Site::new("", "t-init", 18097);
    let file = site.folder().join("stack.toml");
    fs::remove_file(&file).unwrap();
    copy(&root().join("tests/sample-app"), site.folder());
    let said = site.run(&["init", "--yes"], &[]).ends(0);
    said.says("found Starlette").says("found PostgreSQL, for asyncpg").says("found Redis, for redis");

    // Another name and port than those of a site of its own: this machine has others.
    let text = fs::read_to_string(&file).unwrap();
    let name = text.lines().find(|l| l.starts_with("name = ")).unwrap();
    let text = text.replacen(name, "name = \"t-init\"", 1);
    let text =
        text.replacen("tls     = \"self-signed\"", "tls = \"off\"\nhttp_port = 18097\naddress = \"127.0.0.1\"", 1);
    fs::write(&file, text).unwrap();
    site.run(&["check"], &[]).ends(0).says("3 services, 1 route");
    site.run(&["up", "--yes"], &[]).ends(0);
    let (status, body) = site.get("/health/ready").unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"postgres\":\"ok\"") && body.contains("\"redis\":\"ok\""), "{body}");
    site.nothing_to_do("1");
}
