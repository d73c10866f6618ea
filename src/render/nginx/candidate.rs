//! Which addresses the private listener may be sent to.

use std::collections::BTreeSet;

use super::ProxyInput;

const OCTET: &str = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

/// A regular expression, anchored at both ends, for an address of the stack's pool and a port of a routed service, in
/// either bank; `None` if none of them has a port.
pub(super) fn pattern(input: &ProxyInput<'_>) -> Option<String> {
    let (stack, proxy) = (input.stack, input.proxy);
    let routed = || proxy.routes.iter().filter_map(|route| route.service());
    let mut ports: BTreeSet<u16> = routed().filter_map(|name| stack.services.get(name)?.port).collect();
    let banks = routed().filter_map(|name| input.upstreams.get(name));
    let sockets = banks.flat_map(|banks| banks.a.iter().chain(&banks.b));
    ports.extend(sockets.filter_map(|upstream| upstream.target.rsplit_once(':')?.1.parse::<u16>().ok()));
    if ports.is_empty() {
        return None;
    }
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let octets: Vec<String> =
        stack.pool.base.octets().iter().zip(0u8..).map(|(o, i)| octet(*o, stack.pool.prefix, i)).collect();
    // `\A` and `\z`, not `^` and `$`: the latter also stands before a last line break.
    Some(format!("~\\A{}:(?:{})\\z", octets.join("\\."), ports.join("|")))
}

/// One octet of a prefix: fixed, free, or a range.
fn octet(value: u8, prefix: u8, index: u8) -> String {
    let fixed = prefix.saturating_sub(index * 8).min(8);
    if fixed == 0 {
        return OCTET.to_owned();
    }
    let free = 8 - u32::from(fixed);
    let low = (value >> free) << free;
    let high = low | u8::try_from((1u16 << free) - 1).unwrap_or(u8::MAX);
    if low == high {
        return low.to_string();
    }
    let numbers: Vec<String> = (low..=high).map(|n| n.to_string()).collect();
    format!("(?:{})", numbers.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_follow_the_prefix() {
        assert_eq!(octet(10, 16, 0), "10");
        assert_eq!(octet(83, 16, 1), "83");
        assert_eq!(octet(0, 16, 2), OCTET);
        assert_eq!(octet(84, 15, 1), "(?:84|85)");
        assert_eq!(octet(7, 30, 3), "(?:4|5|6|7)");
        assert_eq!(octet(7, 32, 3), "7");
    }
}
