//! The password of Grafana's administrator is replaced. It is asked of a stand-in, since no image was at hand.

use std::process::Command;

use super::support::{Site, root, slim, soak};

fn stack() -> String {
    let standing_in = root().join("tests/real/grafana");
    format!(
        "{}\n[services.charts]\npreset = \"grafana:11.3.0\"\nbuild = \"{}\"\nusername = \"chief\"\nmemory = \"64M\"\n",
        slim("t-charts", 18356).replace("replicas    = 3", "replicas    = 1"),
        standing_in.display()
    )
}

fn password(site: &Site) -> String {
    site.run(&["secrets", "get", "charts.password", "--reveal"], &ENV).ends(0).out.trim().to_owned()
}

const ENV: [(&str, &str); 1] = [("APP_VERSION", "1")];

const ROTATE: [&str; 4] = ["secrets", "rotate", "--yes", "charts.password"];

/// Status of the question who one is, and of the wish for another password.
fn asked(site: &Site, password: &str, next: Option<&str>) -> String {
    let address = site.docker(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", CHARTS]);
    let address = address.split_whitespace().next().unwrap().to_owned();
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-u", &format!("chief:{password}")]);
    match next {
        None => curl.arg(format!("http://{address}:3000/api/user")),
        Some(next) => curl
            .args(["-X", "PUT", "-d", &format!(r#"{{"oldPassword":"{password}","newPassword":"{next}"}}"#)])
            .arg(format!("http://{address}:3000/api/user/password")),
    };
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}

const CHARTS: &str = "t-charts-charts-1";

#[test]
fn its_administrator_gets_another_password() {
    let site = Site::new(&stack(), "t-charts", 18356);
    site.up("1");
    let rotate = || site.run(&ROTATE, &ENV);
    let app = site.docker(&["inspect", "-f", "{{.Id}}", "t-charts-app-1"]);
    let old = password(&site);
    assert_eq!(asked(&site, &old, None), "200");

    let said = rotate().ends(0).says("charts takes it in place of the old one");
    let new = password(&site);
    assert!(new != old && !said.err.contains(&new) && !said.err.contains(&old), "{}", said.err);
    assert_eq!((asked(&site, &new, None), asked(&site, &old, None)), ("200".to_owned(), "401".to_owned()));
    assert_eq!(site.docker(&["inspect", "-f", "{{.Id}}", "t-charts-app-1"]), app, "nobody else is replaced");
    site.nothing_to_do("1");

    // Ended at any moment, the next run goes on.
    for lines in (1..).step_by(if soak() { 1 } else { 4 }) {
        let before = password(&site);
        if site.killed_after(&ROTATE, &ENV, lines).is_none() {
            println!("a whole rotation says {lines} things");
            break;
        }
        rotate().ends(0);
        let now = password(&site);
        let what = format!("ended after {lines} lines");
        println!("{what}");
        assert_ne!(now, before, "{what}");
        assert_eq!(
            (asked(&site, &now, None), asked(&site, &before, None)),
            ("200".to_owned(), "401".to_owned()),
            "{what}"
        );
        site.nothing_to_do("1");
    }

    // Changed in Grafana by hand: nothing is lost, and what to do is said.
    let now = password(&site);
    assert_eq!(asked(&site, &now, Some("by hand")), "200");
    rotate().ends(1).says("was it changed in Grafana?").says("`stackctl secrets get charts.password --reveal`");
    assert_eq!((asked(&site, "by hand", Some(&now)), password(&site)), ("200".to_owned(), now));
    rotate().ends(0);

    // Where it does not run it cannot be told, and keeps what it has.
    let now = password(&site);
    site.docker(&["stop", CHARTS]);
    rotate().ends(5).says("another value here would lock everybody out").says("`stackctl up` starts it");
    assert_eq!(password(&site), now);
}
