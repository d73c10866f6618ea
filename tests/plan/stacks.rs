//! Stacks to deploy, and everything people change about them.

use std::fmt::Write as _;

use crate::model::World;
use crate::wish::Wish;

/// A stack file in a few fields.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a line of the file that is there or not")]
pub(crate) struct Sketch {
    pub(crate) app: &'static str,
    pub(crate) tag: u32,
    pub(crate) port: u16,
    /// Its containers are told the port, and answer at no other.
    pub(crate) listens: bool,
    pub(crate) replicas: u32,
    pub(crate) env: &'static str,
    pub(crate) secret: &'static str,
    pub(crate) job: bool,
    pub(crate) worker: bool,
    pub(crate) api: bool,
    pub(crate) api_replicas: u32,
    pub(crate) api_route: bool,
    pub(crate) app_route: bool,
    pub(crate) egress: bool,
    pub(crate) database: &'static str,
    pub(crate) cache: bool,
    pub(crate) prometheus: bool,
    pub(crate) limit: u32,
    pub(crate) door: Option<(&'static str, u16)>,
    /// Folder of the application's image that the front door serves.
    pub(crate) files: Option<&'static str>,
}

impl Sketch {
    pub(crate) fn new() -> Self {
        Self {
            app: "app",
            tag: 1,
            port: 8000,
            listens: true,
            replicas: 2,
            env: "a",
            secret: "s1",
            job: true,
            worker: true,
            api: true,
            api_replicas: 1,
            api_route: true,
            app_route: true,
            egress: true,
            database: "256M",
            cache: true,
            prometheus: false,
            limit: 50,
            door: Some(("nginx:1.30", 8080)),
            files: Some("/app/static"),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { app, tag, port, replicas, env, .. } = self;
        let mut out = String::from("name = \"shop\"\n");
        let listen = if self.listens { format!("LISTEN = \"{port}\"\n") } else { String::new() };
        let egress = if self.egress { "" } else { "egress = false\n" };
        let database = if self.database.is_empty() { "" } else { "DATABASE_URL = \"${db.url}\"\n" };
        let cache = if self.cache { "REDIS_URL = \"${cache.url}\"\n" } else { "" };
        let job = if self.job { "pre_deploy = [\"migrate\"]\npost_deploy = [\"warm\"]\n" } else { "" };
        let _ = write!(
            out,
            "[services.{app}]\nimage = \"acme/app:{tag}\"\nport = {port}\nreplicas = {replicas}\nhealthcheck = \"/health\"\nmetrics = \"/metrics\"\n{job}{egress}[services.{app}.environment]\nMODE = \"{env}\"\n{listen}TOKEN_FILE = \"${{secrets.token.file}}\"\n{database}{cache}"
        );
        if self.worker {
            let _ = write!(out, "[services.worker]\nlike = \"{app}\"\ncommand = [\"work\"]\nreplicas = 1\n");
        }
        if self.api {
            let _ = write!(
                out,
                "[services.api]\nimage = \"acme/api:1\"\nport = 9000\nreplicas = {}\nhealthcheck = \"/health\"\n",
                self.api_replicas
            );
        }
        if !self.database.is_empty() {
            let _ = write!(out, "[services.db]\npreset = \"postgres:15\"\nmemory = \"{}\"\n", self.database);
        }
        if self.cache {
            out.push_str("[services.cache]\npreset = \"redis:7\"\nmemory = \"64M\"\n");
        }
        if self.prometheus {
            out.push_str("[services.prometheus]\npreset = \"prometheus:v2.53.3\"\n");
        }
        out.push_str("[secrets]\ntoken = { env = \"TOKEN\" }\n");
        let routed = self.app_route || (self.api && self.api_route);
        // A front door without routes is an error of the file.
        if let Some((image, port)) = self.door.filter(|_| routed) {
            let _ = write!(
                out,
                "[proxy]\nimage = \"{image}\"\ndomains = [\"localhost\"]\ntls = \"self-signed\"\nhttp_port = {port}\nhttps_port = {}\nlimit = {{ rate = \"{}/s\", burst = 10 }}\n",
                port + 1,
                self.limit
            );
            out.push_str("[routes]\n");
            if self.app_route {
                let _ = writeln!(out, "\"/\" = \"{app}\"");
            }
            if self.api && self.api_route {
                out.push_str("\"/api/\" = \"api\"\n");
            }
            if let Some(folder) = self.files {
                let _ = writeln!(out, "\"/static/\" = {{ files = \"{app}:{folder}\", cache = \"1y\" }}");
            }
        }
        out
    }

    pub(crate) fn wish(&self) -> Wish {
        Wish::new(&self.text()).secret("TOKEN", self.secret)
    }
}

/// A change of the file, or of what the engine has.
pub(crate) struct Change {
    pub(crate) name: &'static str,
    pub(crate) file: fn(&mut Sketch),
    pub(crate) hand: fn(&mut World),
}

const NOTHING: fn(&mut World) = |_| {};

macro_rules! file {
    ($name:literal, $change:expr) => {
        Change { name: $name, file: $change, hand: NOTHING }
    };
}

macro_rules! hand {
    ($name:literal, $change:expr) => {
        Change { name: $name, file: |_| {}, hand: $change }
    };
}

pub(crate) const CHANGES: &[Change] = &[
    file!("image", |s| s.tag += 1),
    file!("port of app", |s| s.port += 1),
    file!("port of app with the image", |s| (s.port, s.tag) = (s.port + 1, s.tag + 1)),
    file!("environment", |s| s.env = "b"),
    file!("secret", |s| s.secret = "s2"),
    file!("more replicas", |s| s.replicas += 2),
    file!("one replica", |s| s.replicas = 1),
    file!("no replicas", |s| s.replicas = 0),
    file!("more of api", |s| s.api_replicas = 3),
    file!("renamed", |s| s.app = "web"),
    file!("without worker", |s| s.worker = false),
    file!("with worker", |s| s.worker = true),
    file!("without api", |s| s.api = false),
    file!("with api", |s| s.api = true),
    file!("api not routed", |s| s.api_route = false),
    file!("api routed", |s| s.api_route = true),
    file!("app not routed", |s| {
        s.app_route = false;
        (s.api, s.api_route) = (true, true);
    }),
    file!("no way out", |s| s.egress = false),
    file!("database memory", |s| s.database = "512M"),
    file!("without database", |s| s.database = ""),
    file!("without cache", |s| s.cache = false),
    file!("with prometheus", |s| s.prometheus = true),
    file!("without prometheus", |s| s.prometheus = false),
    file!("limit", |s| s.limit += 10),
    file!("port", |s| s.door = s.door.map(|d| (d.0, d.1 + 100))),
    file!("nginx", |s| s.door = s.door.map(|d| ("nginx:1.29", d.1))),
    file!("without door", |s| s.door = None),
    file!("with door", |s| s.door = s.door.or(Some(("nginx:1.30", 8080)))),
    file!("without files", |s| s.files = None),
    file!("other files", |s| s.files = Some("/app/public")),
    file!("files and image", |s| (s.files, s.tag) = (Some("/app/public"), s.tag + 1)),
    file!("with job", |s| s.job = true),
    file!("without job", |s| s.job = false),
    hand!("app-1 removed", |w| w.remove_by_hand("shop-app-1")),
    hand!("app-2 stopped", |w| w.stop_by_hand("shop-app-2")),
    hand!("api stopped", |w| w.stop_by_hand("shop-api-1")),
    hand!("api removed", |w| w.remove_by_hand("shop-api-1")),
    hand!("database stopped", |w| w.stop_by_hand("shop-db-1")),
    hand!("database removed", |w| w.remove_by_hand("shop-db-1")),
    hand!("door stopped", |w| w.stop_by_hand("shop-proxy-1")),
    hand!("door removed", |w| w.remove_by_hand("shop-proxy-1")),
    hand!("network of the database lost", |w| w.lose_network("shop_to-db")),
    hand!("default network lost", |w| w.lose_network("shop_default")),
    hand!("other limits", |w| w.set("shop-app-1", "memory", Some("1G"))),
    hand!("all rights", |w| w.set("shop-app-2", "privileged", Some("true"))),
    hand!("database on another network", |w| w.join("shop-db-1", "bridge")),
    hand!("tag moved", |w| w.move_tag("acme/app:1")),
    hand!("image gone", |w| drop(w.images.remove("acme/app:1"))),
];
