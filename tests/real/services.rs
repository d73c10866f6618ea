//! What a service and its stores can say, from stack.toml to the process that runs: one stack with all of it.

use super::support::{Site, get, slim};

/// Adds a row for every run.
const LOAD: &str = "import asyncio, asyncpg, os\n\
    async def main():\n    \
        c = await asyncpg.connect(open(os.environ['DATABASE_URL_FILE']).read())\n    \
        await c.execute('INSERT INTO runs (what) VALUES ($1)', os.environ['WHAT'])\n\
    asyncio.run(main())\n";

fn stack() -> String {
    slim("t-serve", 18191)
        .replace("replicas    = 3", "replicas    = 1")
        .replace(
            "healthcheck = { path = \"/health\", ",
            "healthcheck = { path = \"/health\", body = '{\"status\":\"${STATUS:-healthy}\"}', ",
        )
        .replace(
            "#EXTRA",
            "env_file    = \"app.env\"\n\
             files       = [\"conf:/etc/app\", \"one.txt:/etc/one.txt\"]\n\
             secrets     = [{ source = \"key\", mode = \"0440\", uid = 10001 }]\n\
             publish     = [\"127.0.0.1:18192:8000\"]\n\
             depends_on  = [\"load\"]\n\
             ulimits     = { nofile = 512 }\n\
             labels      = { team = \"web\" }\n\
             reserve     = { memory = \"32M\" }\n",
        )
        .replace(
            "[proxy]",
            "DATABASE_URL_FILE = \"${postgres.url.file}\"\nREDIS_URL_FILE = \"${redis.url.file}\"\n\n[proxy]",
        )
        + "\n[services.load]\nlike = \"app\"\nkind = \"job\"\ndepends_on = [\"postgres\"]\nfiles = [\"load.py:/srv/load.py\"]\n\
           command = [\"python3\", \"/srv/load.py\"]\nenvironment = { WHAT = \"first\" }\n\
           [services.postgres]\npreset = \"postgres:17\"\nmemory = \"128M\"\nextensions = [\"uuid-ossp\"]\ninit_sql = \"init.sql\"\n\
           settings = { work_mem = \"3MB\" }\n\
           [services.redis]\npreset = \"redis:8\"\nmemory = \"64M\"\npolicy = \"volatile-lru\"\npersistence = \"rdb\"\npassword = \"${secrets.cache}\"\n\
           [secrets]\nkey = { generate = \"hex:16\" }\ncache = { env = \"CACHE\" }\n"
}

fn write(site: &Site, path: &str, text: &str) {
    let path = site.folder().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn sql(site: &Site, query: &str) -> String {
    let args = ["exec", "t-serve-postgres-1", "psql", "-U", "t_serve", "-d", "t_serve", "-Atc", query];
    site.docker(&args).trim().to_owned()
}

/// An odd password: what is in redis.conf and in URLs must not break by it.
const ENV: [(&str, &str); 2] = [("APP_VERSION", "1"), ("CACHE", "a \"b\" \\c#é/@:")];

#[test]
fn a_stack_says_what_it_needs_and_gets_it() {
    let site = Site::new(&stack(), "t-serve", 18191);
    write(&site, "app.env", "# for the app\nMODE='fast'\nAPP_VERSION=beaten by environment\n");
    write(&site, "conf/app.toml", "level = 1\n");
    write(&site, "conf/deep/er", "deep\n");
    write(&site, "one.txt", "one\n");
    write(&site, "load.py", LOAD);
    write(&site, "init.sql", "CREATE TABLE runs (id serial PRIMARY KEY, what text NOT NULL);\n");
    let up = |env: &[(&str, &str)]| site.run(&["up", "--yes", "--no-verify"], env);
    up(&ENV).ends(0);

    let app = |script: &str| site.docker(&["exec", "t-serve-app-1", "sh", "-c", script]);
    assert_eq!(app("cat /etc/app/app.toml /etc/app/deep/er /etc/one.txt"), "level = 1\ndeep\none\n");
    assert_eq!(app("echo $MODE $APP_VERSION; ulimit -n"), "fast 1\n512\n");
    assert_eq!(app("stat -c '%a %u' /run/secrets/key"), "440 10001\n");
    let format = "{{.HostConfig.MemoryReservation}} {{index .Config.Labels \"team\"}}";
    assert_eq!(site.docker(&["inspect", "-f", format, "t-serve-app-1"]), "33554432 web\n");
    assert_eq!(get(("127.0.0.1", 18192), "/health").unwrap().0, 200, "published on the loopback address");

    assert_eq!(sql(&site, "SELECT what FROM runs"), "first", "the job ran, after init_sql");
    assert_eq!(sql(&site, "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'"), "uuid-ossp");
    assert_eq!(sql(&site, "SHOW work_mem"), "3MB");
    let password = format!("REDISCLI_AUTH={}", ENV[1].1);
    let ask = |setting: &str| {
        site.docker(&["exec", "-e", &password, "t-serve-redis-1", "redis-cli", "config", "get", setting])
    };
    assert_eq!(ask("maxmemory-policy"), "maxmemory-policy\nvolatile-lru\n");
    assert_eq!(ask("appendonly"), "appendonly\nno\n");
    assert!(site.get("/health/ready").unwrap().1.contains("\"redis\":\"ok\""), "the app got in with that password");
    up(&ENV).ends(0).says("0 steps");

    // Another extension on a database with data: a job, and nothing else.
    let database = site.docker(&["inspect", "-f", "{{.Id}}", "t-serve-postgres-1"]);
    let more = stack().replace("[\"uuid-ossp\"]", "[\"uuid-ossp\", \"pg_trgm\"]");
    site.write(&more);
    up(&ENV).ends(0);
    assert_eq!(sql(&site, "SELECT count(*) FROM pg_extension WHERE extname IN ('uuid-ossp', 'pg_trgm')"), "2");
    assert_eq!(database, site.docker(&["inspect", "-f", "{{.Id}}", "t-serve-postgres-1"]), "it was not restarted");
    assert_eq!(sql(&site, "SELECT count(*) FROM runs"), "1", "init_sql and the other job did not run again");

    // A changed file is a change, of those who have it and no others.
    write(&site, "conf/app.toml", "level = 2\n");
    site.run(&["plan"], &ENV).ends(0).says("t-serve-app-1").says("away until its successor is ready");
    up(&ENV).ends(0);
    assert_eq!(app("cat /etc/app/app.toml"), "level = 2\n");
    assert_eq!(sql(&site, "SELECT count(*) FROM runs"), "1");
    site.write(&more.replace("\"first\"", "\"second\""));
    up(&ENV).ends(0);
    assert_eq!(sql(&site, "SELECT what FROM runs ORDER BY id"), "first\nsecond");

    // An answer that is not the one that is expected.
    let [version, cache] = ENV;
    up(&[version, cache, ("STATUS", "splendid"), ("START", "8s"), ("FAULT", "x")])
        .ends(1)
        .says("the answer does not hold `{\"status\":\"splendid\"}`");
    assert_eq!(app("cat /etc/app/app.toml"), "level = 2\n", "the old one runs again");

    // A job that fails stops the release.
    write(&site, "load.py", "raise SystemExit('no such table')\n");
    up(&ENV).ends(1).says("of load exited with 1").says("no such table");
    assert_eq!(site.get("/health").unwrap().0, 200);
    site.run(&["down", "--volumes", "--yes"], &ENV).ends(0);
    assert_eq!(site.list("volume"), Vec::<String>::new());
}
