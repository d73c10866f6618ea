//! What has to be in a PostgreSQL database before anybody uses it: extensions, and what `init_sql` makes. A job does
//! it, so that a longer list of extensions neither restarts the server nor needs an empty data folder.

use std::collections::BTreeMap;

use crate::base::name::{SecretName, ServiceName};
use crate::base::problem::Problem;
use crate::model::runtime::Restart;
use crate::model::secrets::{Piece, SECRETS_FOLDER, Template};
use crate::model::service::{Demand, Kind, Preset, Service};

use super::{Expansion, add_environment};

/// Remembers what was run in a database. In the database itself: whoever restores a dump restores this, too.
const RECORD: &str = "CREATE SCHEMA IF NOT EXISTS stackctl;
CREATE TABLE IF NOT EXISTS stackctl.setup (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
";

/// Runs the file, unless it was run. psql reads what starts with a backslash itself.
const ONCE: &str = "SELECT count(*) = 0 AS fresh FROM stackctl.setup WHERE name = 'init_sql' \\gset
\\if :fresh
\\i /run/secrets/init.sql
INSERT INTO stackctl.setup (name) VALUES ('init_sql');
\\else
\\echo 'init_sql was run in this database before; it is not run again'
\\endif
";

/// Adds the job, if there is something to set up.
pub(super) fn add(
    x: &mut Expansion<'_>,
    role: Piece,
    database: &str,
    password: &SecretName,
    tls: Option<(Demand, &SecretName)>,
) {
    let init = init_sql(x);
    let extensions: Vec<&str> =
        x.keys.extensions.iter().flat_map(|list| &list.value).map(|e| e.value.0.as_str()).collect();
    if extensions.is_empty() && init.is_none() {
        return;
    }
    let server = &x.service;
    let Some(name) = ServiceName::parse(&format!("{}-setup", server.name)) else {
        let span = x.keys.preset.as_ref().map_or(0..0, |p| p.span.clone());
        let problem = Problem::error(format!("`{}-setup` is too long for the name of its job", server.name));
        x.problems.push(problem.at(span).help("give the service a shorter name"));
        return;
    };
    let mut sql = String::from("-- Rendered by stackctl; all of it in one transaction.\n");
    for extension in extensions {
        sql.extend(["CREATE EXTENSION IF NOT EXISTS \"", extension, "\";\n"]);
    }
    let mut job = Service::new(name, server.line, server.image.clone());
    if let Some(text) = init {
        sql.push_str(RECORD);
        sql.push_str(ONCE);
        job.files.insert("init.sql".to_owned(), Template::text(text));
    }
    // Values of this file reach to the end of their line, whatever is in them (libpq, "The Connection Service File").
    let mut connection = vec![
        Piece::Text(format!("[setup]\nhost={}\nport=5432\ndbname={database}\nuser=", server.name)),
        role,
        Piece::Text("\npassword=".to_owned()),
        Piece::Secret(password.clone()),
        Piece::Text("\n".to_owned()),
    ];
    if let Some((demand, ca)) = tls {
        connection.push(Piece::Text(format!("sslmode={}\n", demand.as_str())));
        if demand == Demand::VerifyFull {
            connection.extend([Piece::Text("sslrootcert=".to_owned()), Piece::File(ca.clone())]);
            connection.push(Piece::Text("\n".to_owned()));
            job.secrets.insert(ca.clone());
        }
    }
    job.kind = Kind::Job;
    job.replicas = 0;
    job.restart = Restart::No;
    job.entrypoint = Some(vec!["psql".to_owned()]);
    let arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", "service=setup", "-f"];
    let script = format!("{SECRETS_FOLDER}/setup.sql");
    job.command = Some(arguments.into_iter().map(str::to_owned).chain([script]).collect());
    job.files.insert("setup.sql".to_owned(), Template::text(sql));
    job.files.insert("pg_service.conf".to_owned(), Template(connection));
    add_environment(&mut job, "PGSERVICEFILE", Template::text(format!("{SECRETS_FOLDER}/pg_service.conf")));
    job.user.clone_from(&server.user);
    job.uid = server.uid;
    job.depends_on.insert(server.name.clone());
    job.egress = false;
    job.read_only = true;
    job.init = false;
    job.tmpfs.insert("/tmp".to_owned(), String::new());
    // Over the image's own volume, which would be made anew, without a name, for every run.
    job.tmpfs.insert("/var/lib/postgresql/data".to_owned(), "size=1m".to_owned());
    job.memory = Some(crate::base::units::ByteSize(128 << 20));
    x.companions.push(job);
}

/// The text of `init_sql`.
fn init_sql(x: &mut Expansion<'_>) -> Option<String> {
    let key = x.keys.init_sql.as_ref()?;
    let problem = match x.beside.read(&key.value.0).map(|files| files.into_iter().next()) {
        Ok(Some(file)) if file.path.is_empty() => return Some(file.text),
        Ok(_) => format!("`{}` is a folder, not a file", key.value.0),
        Err(why) => format!("`{}` {why}", key.value.0),
    };
    let problem = Problem::error(problem).at(key.span.clone());
    x.problems.push(problem.help("the path starts at the folder of stack.toml"));
    None
}

/// The job of a server, if it has one.
pub(in crate::config) fn job_of(
    server: &ServiceName,
    services: &BTreeMap<ServiceName, Service>,
) -> Option<ServiceName> {
    services.get(server).filter(|s| s.preset == Some(Preset::Postgres))?;
    let job = services.get(format!("{server}-setup").as_str())?;
    (job.kind == Kind::Job && job.depends_on.contains(server)).then(|| job.name.clone())
}
