//! PostgreSQL that encrypts: its certificate, and who may connect how.

use crate::model::artifact::Artifact;
use crate::model::secrets::SecretValues;
use crate::model::service::Service;

/// Certificate and key in one file, which OpenSSL reads for both, and `pg_hba.conf`; nothing for a service that does
/// not encrypt, or whose certificate has no value.
pub fn postgres(service: &Service, values: &SecretValues) -> Vec<Artifact> {
    let Some(bundle) = service.tls.as_ref().and_then(|tls| values.get(&tls.certificate)) else { return Vec::new() };
    // Before 14, passwords are kept as MD5 by default; the method `md5` takes both kinds (PostgreSQL manual, 20.5).
    let method = if service.data_version.is_some_and(|major| major < 14) { "md5" } else { "scram-sha-256" };
    let rules = format!(
        "# Rendered by stackctl. Whoever is inside the container is the server; over the network, only what is\n\
         # encrypted is let in.\n\
         local   all          all       trust\n\
         local   replication  all       trust\n\
         hostssl all          all  all  {method}\n\
         hostssl replication  all  all  {method}\n"
    );
    vec![
        Artifact::plain("pg_hba.conf", rules),
        // The server refuses a key that others can read.
        Artifact { mode: 0o400, ..Artifact::secret("server.pem", bundle.clone(), service.uid) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::{SecretName, ServiceName};
    use crate::base::secret::Secret;
    use crate::model::service::{Demand, Image, ServerTls};

    #[test]
    fn only_encrypted_connections_are_let_in() {
        let name = SecretName::parse("db.certificate").unwrap_or_else(|| unreachable!());
        let service = ServiceName::parse("db").unwrap_or_else(|| unreachable!());
        let mut service = Service::new(service, 1, Image::Pull("postgres:15".into()));
        let values = SecretValues::from([(name.clone(), Secret::new("pem"))]);
        assert!(postgres(&service, &values).is_empty(), "nothing was asked for");
        service.tls = Some(ServerTls { demand: Demand::Require, authority: name.clone(), certificate: name });
        service.uid = Some(999);
        for (major, method) in [(13, "md5"), (14, "scram-sha-256"), (17, "scram-sha-256")] {
            service.data_version = Some(major);
            let files = postgres(&service, &values);
            let rules: Vec<&str> = files[0].content.expose().lines().filter(|l| !l.starts_with('#')).collect();
            assert!(rules.iter().all(|r| r.starts_with("local ") || r.starts_with("hostssl ")), "{rules:?}");
            assert!(rules.iter().filter(|r| r.starts_with("hostssl")).all(|r| r.ends_with(method)), "{rules:?}");
            assert_eq!((files[1].mode, files[1].uid), (0o400, 999));
        }
    }
}
