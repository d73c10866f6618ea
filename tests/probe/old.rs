//! What OpenSSL can no longer serve: SSL 3, RC4, 3DES. The answers are those of such a server, byte for byte as RFC 6101
//! and RFC 5246 lay them out; the handshake goes no further than that.

use std::net::Ipv4Addr;

use stackctl::model::finding::Verdict;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{ask, files, lines, options, route, stack, target};

const SSL3: [u8; 2] = [3, 0];
const TLS12: [u8; 2] = [3, 3];
const RC4_SHA: [u8; 2] = [0x00, 0x05];
const DES_CBC3_SHA: [u8; 2] = [0x00, 0x0a];
const ECDHE_RSA_AES128_GCM_SHA256: [u8; 2] = [0xc0, 0x2f];

/// A server's hello, and the end of its flight: in one record.
fn hello(version: [u8; 2], suite: [u8; 2]) -> Vec<u8> {
    let mut out = vec![0x16, version[0], version[1], 0x00, 0x2e];
    out.extend([0x02, 0x00, 0x00, 0x26, version[0], version[1]]);
    out.extend([0x5a; 32]); // random
    out.push(0x00); // no session
    out.extend(suite);
    out.push(0x00); // no compression
    out.extend([0x0e, 0x00, 0x00, 0x00]); // `ServerHelloDone`
    out
}

/// A fatal alert: `handshake_failure`.
fn refusal(version: [u8; 2]) -> Vec<u8> {
    vec![0x15, version[0], version[1], 0x00, 0x02, 0x02, 0x28]
}

/// Whether a client's hello offers a suite. There is a session ID before the list (RFC 5246 §7.4.1.2).
fn offers(hello: &[u8], suite: [u8; 2]) -> bool {
    let list = 5 + 4 + 2 + 32 + 1 + usize::from(hello[43]);
    let length = usize::from(u16::from_be_bytes([hello[list], hello[list + 1]]));
    hello[list + 2..list + 2 + length].chunks(2).any(|pair| pair == suite)
}

/// A server that speaks up to this version, with these suites, its favourite first; its port.
async fn serve(newest: [u8; 2], oldest: [u8; 2], suites: &'static [[u8; 2]]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = vec![0; 4096];
            let mut length = 0;
            // A record says how long it is.
            while length < 5 || length < 5 + usize::from(u16::from_be_bytes([heard[3], heard[4]])) {
                match stream.read(&mut heard[length..]).await {
                    Ok(more @ 1..) => length += more,
                    _ => break,
                }
            }
            if length < 46 {
                continue;
            }
            let wanted = [heard[9], heard[10]];
            let version = wanted.min(newest);
            let answer = match suites.iter().find(|suite| offers(&heard[..length], **suite)) {
                Some(suite) if version >= oldest => hello(version, *suite),
                _ => refusal(version),
            };
            let _ = stream.write_all(&answer).await;
        }
    });
    port
}

#[tokio::test]
async fn what_no_library_serves_any_more_is_still_seen() {
    for (newest, oldest, suites, first, third) in [
        (SSL3, SSL3, &[RC4_SHA][..], (Verdict::Fail, "SSL 3.0"), (Verdict::NotApplicable, "TLS 1.2")),
        (TLS12, SSL3, &[DES_CBC3_SHA, RC4_SHA], (Verdict::Fail, "SSL 3.0"), (Verdict::Fail, "DES-CBC3-SHA, RC4-SHA")),
        (TLS12, TLS12, &[RC4_SHA], (Verdict::Pass, "TLS 1.2"), (Verdict::Fail, "RC4-SHA")),
        (TLS12, TLS12, &[DES_CBC3_SHA], (Verdict::Pass, "TLS 1.2"), (Verdict::Fail, "DES-CBC3-SHA")),
        (TLS12, TLS12, &[ECDHE_RSA_AES128_GCM_SHA256], (Verdict::Pass, "TLS 1.2"), (Verdict::Pass, "profile")),
    ] {
        let port = serve(newest, oldest, suites).await;
        let stack = stack(files(), vec![route("/", None)]);
        let findings = ask(&stack, &target(1, Some(port)), None, &options(&["TLS-1", "TLS-3"])).await;
        for (id, (verdict, seen)) in [("TLS-1", first), ("TLS-3", third)] {
            let finding = findings.iter().find(|f| f.id == id).unwrap();
            assert_eq!(finding.verdict, verdict, "{suites:?}\n{}", lines(&findings));
            assert!(finding.observed.contains(seen), "{suites:?}: `{seen}`\n{}", lines(&findings));
        }
    }
}
