//! Passwords of databases that are replaced while everybody uses them.

use std::time::Duration;

use super::support::{Site, Visitor, slim, soak};

fn stack() -> String {
    slim("t-rotate", 18344)
        .replace("path = \"/health\"", "path = \"/health/ready\"")
        .replace("#EXTRA", "pre_deploy = [\"python3\", \"-m\", \"app.migrate\"]\n")
        .replace(
            "[proxy]",
            "DATABASE_URL_FILE = \"${postgres.url.file}\"\nREDIS_URL_FILE = \"${redis.url.file}\"\n\n[proxy]",
        )
        + "\n[services.postgres]\npreset = \"postgres:VERSION\"\nmemory = \"128M\"\n\
           [services.redis]\npreset = \"redis:7\"\nmemory = \"64M\"\n"
            // The long form takes a newer one.
            .replace("VERSION", if soak() { "17" } else { "15" })
            .as_str()
}

const ENV: [(&str, &str); 1] = [("APP_VERSION", "1")];

/// Both at once.
const ROTATE: [&str; 5] = ["secrets", "rotate", "--yes", "postgres.password", "redis.password"];

/// Role and password that the app logs in with.
fn login(site: &Site, store: &str) -> (String, String) {
    let url = site.docker(&["exec", "t-rotate-app-1", "cat", &format!("/run/secrets/{store}.url")]);
    let (_, rest) = url.trim().split_once("://").unwrap();
    let (user, rest) = rest.split_once(':').unwrap();
    (user.to_owned(), rest.rsplit_once('@').unwrap().0.to_owned())
}

/// What PostgreSQL says over the network, to somebody with this role and password.
fn ask_postgres(site: &Site, (role, password): &(String, String), query: &str) -> String {
    let password = format!("PGPASSWORD={password}");
    let script = format!("psql -wAtc \"{query}\" \"host=$(hostname -i) user={role} dbname=t_rotate\" 2>&1");
    site.docker(&["exec", "-e", &password, "t-rotate-postgres-1", "sh", "-c", &script]).trim().to_owned()
}

fn ask_redis(site: &Site, (_, password): &(String, String)) -> String {
    let password = format!("REDISCLI_AUTH={password}");
    site.docker(&["exec", "-e", &password, "t-rotate-redis-1", "sh", "-c", "redis-cli ping 2>&1"]).trim().to_owned()
}

fn containers(site: &Site) -> String {
    site.docker(&["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", "t-rotate-postgres-1", "t-rotate-redis-1"])
}

/// Three who ask for a page that needs both stores.
fn visitors(site: &Site) -> Vec<Visitor> {
    let ready = || Visitor::of_path("127.0.0.1", site.port, "/health/ready");
    vec![ready(), ready(), Visitor::of_path("127.0.0.1", site.port, "/api/items")]
}

#[test]
fn credentials_change_under_load_and_nobody_notices() {
    let site = Site::new(&stack(), "t-rotate", 18344);
    site.up("1");
    let rotate = || site.run(&ROTATE, &ENV);
    let (postgres, redis, stores) = (login(&site, "postgres"), login(&site, "redis"), containers(&site));
    assert_eq!(postgres.0, "t_rotate");
    assert_eq!(ask_postgres(&site, &postgres, "SELECT 1"), "1");
    assert_eq!(ask_redis(&site, &redis), "PONG");

    let asking = visitors(&site);
    let said = rotate().ends(0);
    let (new, fresh) = (login(&site, "postgres"), login(&site, "redis"));
    assert_eq!(new.0, "t_rotate_b", "the other role");
    assert!(new.1 != postgres.1 && fresh.1 != redis.1);
    for value in [&postgres.1, &redis.1, &new.1, &fresh.1] {
        assert!(!said.out.contains(value.as_str()) && !said.err.contains(value.as_str()), "{}", said.err);
    }
    assert!(ask_postgres(&site, &postgres, "SELECT 1").contains("password authentication failed"));
    assert!(ask_redis(&site, &redis).contains("WRONGPASS"), "{}", ask_redis(&site, &redis));
    assert_eq!(ask_postgres(&site, &new, "SELECT session_user, current_user"), "t_rotate_b|t_rotate");
    assert_eq!(ask_redis(&site, &fresh), "PONG");
    assert_eq!(containers(&site), stores, "the stores were not restarted");
    site.nothing_to_do("1");
    site.run(&["verify", "--only", "DB"], &ENV).ends(0);

    // Ended at any moment, the next run goes on; what is made meanwhile belongs to the owner.
    let owner =
        "CREATE TABLE made_meanwhile (id int); SELECT tableowner FROM pg_tables WHERE tablename = 'made_meanwhile'";
    assert!(ask_postgres(&site, &new, owner).ends_with("t_rotate"));
    // The long form ends a run after each thing that it says, the short one twice.
    for lines in if soak() { (0..).step_by(1) } else { (2..).step_by(9) } {
        let before = (login(&site, "postgres"), login(&site, "redis"));
        let Some(last) = site.killed_after(&ROTATE, &ENV, lines) else {
            println!("a whole rotation says {lines} things");
            break;
        };
        rotate().ends(0);
        let now = (login(&site, "postgres"), login(&site, "redis"));
        let what = format!("ended after {lines} lines: {last}");
        println!("{what}");
        assert!(now.0.1 != before.0.1 && now.1.1 != before.1.1, "{what}");
        assert!(ask_postgres(&site, &before.0, "SELECT 1").contains("failed"), "{what}: the old one is let in");
        assert_eq!(ask_postgres(&site, &now.0, "SELECT 1"), "1", "{what}");
        assert!(ask_redis(&site, &before.1).contains("WRONGPASS"), "{what}");
        assert_eq!(ask_redis(&site, &now.1), "PONG", "{what}");
        site.nothing_to_do("1");
        if !soak() && lines > 9 {
            break;
        }
    }
    for visitor in asking {
        visitor.was_always_served();
    }
    assert_eq!(containers(&site), stores);

    // A store that starts anew lets in the same people.
    site.docker(&["restart", "t-rotate-redis-1", "t-rotate-postgres-1"]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(ask_redis(&site, &login(&site, "redis")), "PONG");
    assert!(ask_redis(&site, &redis).contains("WRONGPASS"));
    assert_eq!(ask_postgres(&site, &login(&site, "postgres"), "SELECT 1"), "1");
}
