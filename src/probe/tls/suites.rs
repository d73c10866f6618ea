//! Cipher suites up to TLS 1.2 (numbers: IANA TLS parameters), sorted by what is to be thought of them.

/// Mozilla's intermediate profile, guidelines 6.0 (2026-04-06): forward secret and authenticated.
pub(in crate::probe) const GOOD: &[(u16, &str)] = &[
    (0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (0xc02f, "ECDHE-RSA-AES128-GCM-SHA256"),
    (0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (0xc030, "ECDHE-RSA-AES256-GCM-SHA384"),
    (0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (0xcca8, "ECDHE-RSA-CHACHA20-POLY1305"),
];

/// Forward secret and authenticated, but in no current profile.
pub(in crate::probe) const UNUSUAL: &[(u16, &str)] = &[
    (0x009e, "DHE-RSA-AES128-GCM-SHA256"),
    (0x009f, "DHE-RSA-AES256-GCM-SHA384"),
    (0xccaa, "DHE-RSA-CHACHA20-POLY1305"),
    (0xc0ac, "ECDHE-ECDSA-AES128-CCM"),
    (0xc0ad, "ECDHE-ECDSA-AES256-CCM"),
    (0xc0ae, "ECDHE-ECDSA-AES128-CCM8"),
    (0xc0af, "ECDHE-ECDSA-AES256-CCM8"),
    (0xc09e, "DHE-RSA-AES128-CCM"),
    (0xc09f, "DHE-RSA-AES256-CCM"),
    (0xc05c, "ECDHE-ECDSA-ARIA128-GCM-SHA256"),
    (0xc05d, "ECDHE-ECDSA-ARIA256-GCM-SHA384"),
    (0xc060, "ECDHE-ARIA128-GCM-SHA256"),
    (0xc061, "ECDHE-ARIA256-GCM-SHA384"),
    (0xc086, "ECDHE-ECDSA-CAMELLIA128-GCM-SHA256"),
    (0xc08a, "ECDHE-RSA-CAMELLIA128-GCM-SHA256"),
];

/// CBC, RC4, 3DES, no forward secrecy, no authentication, no encryption, export strength.
pub(in crate::probe) const BAD: &[(u16, &str)] = &[
    (0xc009, "ECDHE-ECDSA-AES128-SHA"),
    (0xc00a, "ECDHE-ECDSA-AES256-SHA"),
    (0xc013, "ECDHE-RSA-AES128-SHA"),
    (0xc014, "ECDHE-RSA-AES256-SHA"),
    (0xc023, "ECDHE-ECDSA-AES128-SHA256"),
    (0xc024, "ECDHE-ECDSA-AES256-SHA384"),
    (0xc027, "ECDHE-RSA-AES128-SHA256"),
    (0xc028, "ECDHE-RSA-AES256-SHA384"),
    (0x0033, "DHE-RSA-AES128-SHA"),
    (0x0039, "DHE-RSA-AES256-SHA"),
    (0x0067, "DHE-RSA-AES128-SHA256"),
    (0x006b, "DHE-RSA-AES256-SHA256"),
    (0x002f, "AES128-SHA"),
    (0x0035, "AES256-SHA"),
    (0x003c, "AES128-SHA256"),
    (0x003d, "AES256-SHA256"),
    (0x009c, "AES128-GCM-SHA256"),
    (0x009d, "AES256-GCM-SHA384"),
    (0xc09c, "AES128-CCM"),
    (0xc09d, "AES256-CCM"),
    (0x0041, "CAMELLIA128-SHA"),
    (0x0084, "CAMELLIA256-SHA"),
    (0x0045, "DHE-RSA-CAMELLIA128-SHA"),
    (0x0088, "DHE-RSA-CAMELLIA256-SHA"),
    (0xc072, "ECDHE-ECDSA-CAMELLIA128-SHA256"),
    (0xc073, "ECDHE-ECDSA-CAMELLIA256-SHA384"),
    (0xc076, "ECDHE-RSA-CAMELLIA128-SHA256"),
    (0xc077, "ECDHE-RSA-CAMELLIA256-SHA384"),
    (0xc007, "ECDHE-ECDSA-RC4-SHA"),
    (0xc011, "ECDHE-RSA-RC4-SHA"),
    (0x0004, "RC4-MD5"),
    (0x0005, "RC4-SHA"),
    (0xc008, "ECDHE-ECDSA-DES-CBC3-SHA"),
    (0xc012, "ECDHE-RSA-DES-CBC3-SHA"),
    (0x0016, "DHE-RSA-DES-CBC3-SHA"),
    (0x000a, "DES-CBC3-SHA"),
    (0x0007, "IDEA-CBC-SHA"),
    (0x0096, "SEED-SHA"),
    (0x009a, "DHE-RSA-SEED-SHA"),
    (0x0009, "DES-CBC-SHA"),
    (0x0015, "DHE-RSA-DES-CBC-SHA"),
    (0x00a6, "ADH-AES128-GCM-SHA256"),
    (0x0034, "ADH-AES128-SHA"),
    (0x003a, "ADH-AES256-SHA"),
    (0xc018, "AECDH-AES128-SHA"),
    (0xc019, "AECDH-AES256-SHA"),
    (0x0018, "ADH-RC4-MD5"),
    (0x001b, "ADH-DES-CBC3-SHA"),
    (0x0001, "NULL-MD5"),
    (0x0002, "NULL-SHA"),
    (0x003b, "NULL-SHA256"),
    (0xc006, "ECDHE-ECDSA-NULL-SHA"),
    (0xc010, "ECDHE-RSA-NULL-SHA"),
    (0x0003, "EXP-RC4-MD5"),
    (0x0006, "EXP-RC2-CBC-MD5"),
    (0x0008, "EXP-DES-CBC-SHA"),
    (0x0014, "EXP-EDH-RSA-DES-CBC-SHA"),
];

/// The suites of TLS 1.3 (RFC 8446 §B.4).
pub(in crate::probe) const TLS13: &[u16] = &[0x1301, 0x1302, 0x1303];

/// All suites there are for TLS 1.3, those of every profile first (RFC 8446 §B.4).
pub(in crate::probe) const NEW: &[(u16, &str)] = &[
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0x1304, "TLS_AES_128_CCM_SHA256"),
    (0x1305, "TLS_AES_128_CCM_8_SHA256"),
];

/// Groups of Mozilla's profiles, guidelines 6.0.
pub(in crate::probe) const GOOD_GROUPS: &[(u16, &str)] =
    &[(0x11ec, "X25519MLKEM768"), (0x001d, "x25519"), (0x0017, "P-256"), (0x0018, "P-384")];

/// Groups that servers also speak (IANA TLS parameters).
pub(in crate::probe) const OTHER_GROUPS: &[(u16, &str)] = &[
    (0x11eb, "SecP256r1MLKEM768"),
    (0x11ed, "SecP384r1MLKEM1024"),
    (0x0019, "P-521"),
    (0x001e, "x448"),
    (0x001f, "brainpoolP256r1tls13"),
    (0x0020, "brainpoolP384r1tls13"),
    (0x0021, "brainpoolP512r1tls13"),
    (0x0100, "ffdhe2048"),
    (0x0101, "ffdhe3072"),
    (0x0102, "ffdhe4096"),
    (0x0103, "ffdhe6144"),
    (0x0104, "ffdhe8192"),
];

/// All suites up to TLS 1.2.
pub(in crate::probe) fn all() -> Vec<u16> {
    [GOOD, UNUSUAL, BAD].into_iter().flatten().map(|(number, _)| *number).collect()
}

/// A suite's name, or its number.
pub(in crate::probe) fn name(number: u16) -> String {
    [GOOD, UNUSUAL, BAD, NEW]
        .into_iter()
        .flatten()
        .find(|(n, _)| *n == number)
        .map_or_else(|| format!("0x{number:04x}"), |(_, name)| (*name).to_owned())
}
