//! A small authority: a root, an intermediate, leaves.

use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

/// A leaf certificate with its key, PEM each.
pub(crate) struct Leaf {
    pub(crate) cert: String,
    pub(crate) key: String,
}

pub(crate) struct Authority {
    pub(crate) root: String,
    pub(crate) intermediate: String,
    intermediate_key: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root_params = authority("Test Root");
        let root = root_params.self_signed(&root_key).unwrap().pem();
        let root_issuer = Issuer::new(root_params, root_key);
        let key = KeyPair::generate().unwrap();
        let intermediate_key = key.serialize_pem();
        let params = authority("Test Intermediate");
        let intermediate = params.signed_by(&key, &root_issuer).unwrap().pem();
        Self { root, intermediate, intermediate_key, issuer: Issuer::new(params, key) }
    }

    fn signed(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Leaf { cert, key: key.serialize_pem() }
    }

    pub(crate) fn good(&self, name: &str) -> Leaf {
        self.signed(&leaf(name))
    }

    pub(crate) fn expired(&self, name: &str) -> Leaf {
        let mut params = leaf(name);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.signed(&params)
    }

    pub(crate) fn self_signed(name: &str) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let cert = leaf(name).self_signed(&key).unwrap().pem();
        Leaf { cert, key: key.serialize_pem() }
    }

    /// RSA of 1024 bits, which only the openssl program still makes.
    pub(crate) fn weak(&self, name: &str) -> Leaf {
        let folder = tempfile::tempdir().unwrap();
        let path = |file: &str| folder.path().join(file).display().to_string();
        std::fs::write(path("ca.pem"), &self.intermediate).unwrap();
        std::fs::write(path("ca.key"), &self.intermediate_key).unwrap();
        std::fs::write(path("ext"), format!("subjectAltName=DNS:{name}\n")).unwrap();
        let subject = format!("/CN={name}");
        openssl(&[
            "req",
            "-newkey",
            "rsa:1024",
            "-nodes",
            "-keyout",
            &path("key"),
            "-subj",
            &subject,
            "-out",
            &path("csr"),
        ]);
        openssl(&[
            "x509",
            "-req",
            "-in",
            &path("csr"),
            "-CA",
            &path("ca.pem"),
            "-CAkey",
            &path("ca.key"),
            "-days",
            "3650",
            "-set_serial",
            "7",
            "-sha256",
            "-extfile",
            &path("ext"),
            "-out",
            &path("pem"),
        ]);
        let read = |file: &str| std::fs::read_to_string(path(file)).unwrap();
        Leaf { cert: read("pem"), key: read("key") }
    }
}

fn openssl(args: &[&str]) {
    let output = Command::new("openssl").args(args).output().expect("openssl must be installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
