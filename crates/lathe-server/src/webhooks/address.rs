//! Where a webhook may lead. A server that calls whatever address it is given can be made to call the machines behind
//! its firewall; so only public addresses are called, and they are looked at where the connection is made, since a name
//! can lead elsewhere a moment later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::Uri;
use lathe_types::InputError;

/// Which addresses webhooks may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRules {
    /// `https`, and `http` where receivers stand on the same machine.
    pub schemes: Vec<String>,
    /// Whether addresses behind the firewall may be called.
    pub private_addresses: bool,
}

impl Default for WebhookRules {
    fn default() -> Self {
        Self {
            schemes: vec!["https".into()],
            private_addresses: false,
        }
    }
}

impl WebhookRules {
    /// The host and the port that a URL names, if its form is right.
    pub fn parse(&self, url: &str) -> Result<(String, u16), InputError> {
        let refuse = |why: String| Err(InputError::Request(why));
        if url.trim().is_empty() {
            return refuse("Webhook URL cannot be empty or just whitespace".into());
        }
        let Ok(uri) = url.parse::<Uri>() else {
            return refuse(format!("Invalid webhook URL '{url}'"));
        };
        let scheme = uri.scheme_str().unwrap_or_default();
        if !self.schemes.iter().any(|known| known == scheme) {
            return refuse(format!(
                "Invalid webhook URL scheme: '{scheme}'. Allowed schemes are: {}.",
                self.schemes.join(", ")
            ));
        }
        let authority = uri
            .authority()
            .map(|authority| authority.as_str())
            .unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return refuse(format!("Webhook URL must include a hostname: '{url}'"));
        }
        if authority.contains('@') {
            return refuse("Webhook URL must hold neither user nor password: everyone is shown it".into());
        }
        if authority != host && uri.port_u16().is_none() {
            return refuse(format!("Invalid webhook URL '{url}': its port is no port"));
        }
        let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
        Ok((host.trim_matches(['[', ']']).to_owned(), port))
    }

    /// Refuses the addresses of a host if one of them may not be called.
    pub fn check(&self, host: &str, addresses: &[SocketAddr]) -> Result<(), InputError> {
        let inner = addresses.iter().find(|address| !is_public(address.ip()));
        match inner {
            Some(address) if !self.private_addresses => Err(InputError::Request(format!(
                "Webhook URL must not resolve to a non-public IP address. '{host}' resolves to {}.",
                address.ip()
            ))),
            _ if addresses.is_empty() => Err(unknown_host(host)),
            _ => Ok(()),
        }
    }
}

/// Nobody knows where the host is.
pub fn unknown_host(host: &str) -> InputError {
    InputError::Request(format!("Cannot resolve Webhook URL hostname '{host}'"))
}

/// Whether an address is reached over the internet, also if it is an IPv4 address in IPv6's clothes.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_public_v4(address),
            None => is_public_v6(address),
        },
    }
}

/// IANA's special-purpose registry, <https://www.iana.org/assignments/iana-ipv4-special-registry>.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || 240 <= a;
    !special
}

/// What IANA has handed out lies in 2000::/3, without the parts for documentation, benchmarks and tunnels.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    (a & 0xe000) == 0x2000
        && !(a == 0x2001 && b < 0x0200)
        && !(a == 0x2001 && b == 0x0db8)
        && !(a == 0x3fff && b < 0x1000)
}

/// The IPv4 address inside an IPv4-mapped, 6to4 or NAT64 address.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0, 0) if [c, d, e] == [0, 0, 0] && f == 0xffff => Some(from(g, h)),
        (0x2002, _) => Some(from(b, c)),
        (0x0064, 0xff9b) if [c, d, e, f] == [0, 0, 0, 0] => Some(from(g, h)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_internet_reaches_is_public() {
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "2001:db8::1",
            "::7f00:1",
            "2001::1",
            "fec0::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_url_has_a_scheme_that_is_allowed_and_a_host() {
        let rules = WebhookRules::default();
        assert_eq!(
            rules.parse("https://h.example/x?y=1"),
            Ok(("h.example".into(), 443))
        );
        assert_eq!(rules.parse("https://[::1]:8443/"), Ok(("::1".into(), 8443)));
        for url in [
            "",
            " ",
            "h.example",
            "/x",
            "http://h.example",
            "ftp://h.example",
            "file:///etc/passwd",
            "https://",
            "https:///x",
            "https://user:secret@h.example/",
            "https://h.example:99999/",
            "javascript:alert(1)",
            "https://h\n.example/",
        ] {
            assert!(rules.parse(url).is_err(), "{url}");
        }
    }
}
