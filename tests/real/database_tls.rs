//! A database that encrypts: who gets in, what it shows, and a new certificate while it runs.

use std::process::Command;

use super::support::{Site, Visitor, slim};

fn stack(tls: &str) -> String {
    slim("t-dbtls", 18241)
        .replace("replicas    = 3", "replicas    = 1")
        .replace("path = \"/health\"", "path = \"/health/ready\"")
        .replace("#EXTRA", "pre_deploy = [\"python3\", \"-m\", \"app.migrate\"]\n")
        .replace("[proxy]", "DATABASE_URL_FILE = \"${db.url.file}\"\n\n[proxy]")
        + &format!("\n[services.db]\npreset = \"postgres:15\"\nmemory = \"128M\"\nextensions = [\"pg_trgm\"]\n{tls}\n")
}

/// What psql says in the database's container, over the network, as somebody who has the password or not.
fn psql(site: &Site, parameters: &str, query: &str) -> String {
    let url = format!("postgresql://t_dbtls@$(hostname -i)/t_dbtls?{parameters}");
    let script = format!("PGPASSWORD=$(cat /run/secrets/db.password) psql -wAtc \"{query}\" \"{url}\" 2>&1");
    site.docker(&["exec", "t-dbtls-db-1", "sh", "-c", &script]).trim().to_owned()
}

/// What OpenSSL thinks of the certificate that is shown, under an authority: the reason, and the fingerprint.
fn shown(site: &Site, authority: &str) -> String {
    let ca = site.folder().join("ca.pem");
    std::fs::write(&ca, authority).unwrap();
    let address =
        site.docker(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "t-dbtls-db-1"]);
    let output = Command::new("openssl")
        .args(["s_client", "-starttls", "postgres", "-verify_return_error", "-verify_hostname", "db", "-CAfile"])
        .arg(&ca)
        .args(["-connect", &format!("{}:5432", address.trim())])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn print(site: &Site) -> String {
    let said = site.run(&["--json", "cert", "status"], &[("APP_VERSION", "1")]);
    let status: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(status["databases"][0]["service"], "db");
    status["databases"][0]["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn a_database_lets_nobody_in_without_tls() {
    let site = Site::new(&stack("tls = \"verify-full\""), "t-dbtls", 18241);
    site.up("1");
    let env = [("APP_VERSION", "1")];
    assert!(site.get("/health/ready").unwrap().1.contains("\"postgres\":\"ok\""), "the app believes the server");
    let encrypted = "SELECT count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE client_addr IS NOT NULL";
    assert_eq!(psql(&site, "sslmode=require", encrypted), "0", "nobody is connected in the clear");
    let plain = psql(&site, "sslmode=disable", "SELECT 1");
    assert!(plain.contains("no pg_hba.conf entry") && plain.contains("no encryption"), "{plain}");
    let ca = site.docker(&["exec", "t-dbtls-app-1", "cat", "/run/secrets/db.ca"]);
    assert!(!ca.contains("PRIVATE KEY") && ca.matches("BEGIN CERTIFICATE").count() == 1, "{ca}");
    assert!(shown(&site, &ca).contains("Verify return code: 0 (ok)"), "{}", shown(&site, &ca));
    let key = site.docker(&["exec", "t-dbtls-db-1", "stat", "-Lc", "%a %u", "/run/stackctl/current/server.pem"]);
    assert_eq!(key.trim(), "400 999");
    site.run(&["--json", "verify", "--only", "DB"], &env).ends(0).says("plain refused, TLS with a certificate until");
    site.nothing_to_do("1");

    // Another certificate while it runs: nobody is cut off, nothing starts anew, and it is the one that is shown.
    let (before, container) = (print(&site), site.docker(&["inspect", "-f", "{{.Id}}", "t-dbtls-db-1"]));
    site.run(&["cert", "renew"], &env).ends(0).says("db: the certificate holds");
    assert_eq!(print(&site), before);
    let visitor = Visitor::of(&site);
    site.run(&["cert", "issue", "--anew"], &env).ends(0).says("db: new certificate until");
    assert_ne!(print(&site), before);
    assert!(shown(&site, &ca).contains("Verify return code: 0 (ok)"));
    assert_eq!(container, site.docker(&["inspect", "-f", "{{.Id}}", "t-dbtls-db-1"]), "it was not restarted");
    visitor.was_always_served();
    site.nothing_to_do("1");
    site.run(&["verify", "--only", "DB-4"], &env).ends(0);

    // Somebody opens it by hand.
    let open = "cd /f/current && rm -f pg_hba.conf && echo 'host all all all scram-sha-256' > pg_hba.conf";
    let image = site.docker(&["inspect", "-f", "{{.Image}}", "t-dbtls-db-1"]);
    let run = ["run", "--rm", "-u", "0", "-v", "t-dbtls_db-files:/f", "--entrypoint", "sh", image.trim(), "-c", open];
    site.docker(&run);
    site.docker(&["kill", "-s", "HUP", "t-dbtls-db-1"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    site.run(&["verify", "--only", "DB-4"], &env).ends(4).says("it lets plain connections in");
    site.run(&["up", "--yes", "--no-verify", "--drift"], &env).ends(0);
    site.run(&["verify", "--only", "DB-4"], &env).ends(0);

    // Without it, the server starts anew with its own rules, and the app with another URL.
    site.write(&stack(""));
    site.run(&["plan"], &env).ends(0).says("away until its successor is ready");
    site.up("1");
    assert_eq!(psql(&site, "sslmode=disable", "SELECT 1"), "1");
    assert!(site.get("/health/ready").unwrap().1.contains("\"postgres\":\"ok\""));
    site.run(&["verify", "--only", "DB-4"], &env).ends(0).says("no database of the stack has `tls`");
}
