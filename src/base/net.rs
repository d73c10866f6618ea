//! Ranges of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address, or a range of them as `address/prefix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// First address.
    pub address: IpAddr,
    /// Bits that are fixed: at most 32, of IPv6 128.
    pub prefix: u8,
}

impl Network {
    /// Whether it is every address there is.
    pub fn is_everything(&self) -> bool {
        self.prefix == 0
    }

    fn bits(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not an address or a range; write `203.0.113.7` or `10.0.0.0/8`");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let most = Self::bits(address);
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| refuse())?;
        let rest = match address {
            _ if prefix > most => return Err(refuse()),
            IpAddr::V4(v4) => u128::from(v4.to_bits()) & ((1u128 << (32 - prefix)) - 1),
            IpAddr::V6(v6) if prefix == 0 => v6.to_bits(),
            IpAddr::V6(v6) => v6.to_bits() & !(u128::MAX << (128 - prefix)),
        };
        if rest != 0 {
            return Err(format!("`{text}` is in the middle of a range: bits after the first {prefix} must be 0"));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is no network")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, written) in [
            ("203.0.113.7", "203.0.113.7/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(text.parse::<Network>().map(|n| n.to_string()), Ok(written.to_owned()), "{text}");
        }
        for bad in
            ["", "10.0.0.0/33", "::/129", "10.0.0.1/8", "1.2.3.4/0", "2001:db8::1/64", "10.0.0.0/-1", "10.0/8", "a/8"]
        {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
