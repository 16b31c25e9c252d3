//! How sandboxes are walled in beyond what holds for all of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What a user sets for all sandboxes of an engine. The default is the engine's own runtime, a root that can be written
/// to, and no way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Isolation {
    /// An OCI runtime that the engine knows, such as `runsc` (gVisor) or `kata`; the engine's default where absent.
    pub runtime: Option<String>,
    /// Whether everything but the workspace, the home folder and the folders for temporary files is read-only. What can
    /// be written to lies in memory then, and counts as such.
    pub read_only_root: bool,
    /// What agents reach, through a proxy; nothing where empty. Sandboxes of verification never do.
    pub egress: Vec<Destination>,
}

/// A host and a port that may be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    /// In lower case.
    Name(String),
    /// Every name that ends so; begins with a dot.
    Below(String),
}

/// Not of the form `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no destination: write HOST:PORT, *.DOMAIN:PORT or ADDRESS:PORT, such as pypi.org:443")]
pub struct NoDestination(String);

impl FromStr for Destination {
    type Err = NoDestination;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NoDestination(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|&port| port != 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse() {
            Ok(address) => Host::Address(address),
            Err(_) if bare.starts_with("*.") && is_name(&bare[2..]) => {
                Host::Below(bare[1..].to_ascii_lowercase())
            }
            Err(_) if is_name(bare) => Host::Name(bare.to_ascii_lowercase()),
            Err(_) => return Err(wrong()),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Below(domain) => write!(f, "*{domain}:{}", self.port),
        }
    }
}

impl Destination {
    /// Whether it covers what a client asks for.
    pub(crate) fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_host = match &self.host {
            Host::Address(address) => host.parse::<IpAddr>().is_ok_and(|asked| asked == *address),
            Host::Name(name) => host == *name,
            Host::Below(domain) => host.ends_with(domain.as_str()) && host.len() > domain.len(),
        };
        is_host && self.port == port
    }

    /// Whether an address may be behind it: one that was written down, or one of the public internet. So a name can't be
    /// pointed at this machine or its neighbours.
    pub(crate) fn may_be(&self, address: IpAddr) -> bool {
        match &self.host {
            Host::Address(written) => *written == address,
            Host::Name(_) | Host::Below(_) => is_public(address),
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let mut bytes = label.bytes();
        !label.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Neither this machine, nor a private network, nor anything special (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            let is_special = first == 0 || first >= 240 || (first == 198 && (second & 0xfe) == 18);
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_documentation()
                || is_shared
                || is_special)
        }
        // 2000::/3 is all that is given out.
        IpAddr::V6(address) => (address.segments()[0] & 0xe000) == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(text: &str) -> Destination {
        text.parse().expect("it is one")
    }

    #[test]
    fn what_is_listed_is_covered_and_nothing_else() {
        assert!(destination("pypi.org:443").covers("PyPI.org.", 443));
        assert!(!destination("pypi.org:443").covers("pypi.org", 80));
        assert!(!destination("pypi.org:443").covers("evil-pypi.org", 443));
        assert!(destination("*.pypi.org:443").covers("files.pypi.org", 443));
        assert!(!destination("*.pypi.org:443").covers("pypi.org", 443));
        assert!(destination("[::1]:8080").covers("::1", 8080));
        for wrong in ["pypi.org", ":443", "pypi.org:0", "pypi.org:x", "a b:1", "*.:1", "*:443", "http://x:1"]
        {
            assert!(wrong.parse::<Destination>().is_err(), "{wrong}");
        }
        for written in ["pypi.org:443", "*.pypi.org:443", "10.0.0.1:80", "[::1]:8080"] {
            assert_eq!(destination(written).to_string(), written);
        }
    }

    #[test]
    fn a_name_can_not_be_pointed_at_the_inside() {
        let name = destination("pypi.org:443");
        for inside in
            ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert!(!name.may_be(inside.parse().expect("an address")), "{inside}");
        }
        assert!(name.may_be("151.101.0.223".parse().expect("an address")));
        assert!(destination("10.1.2.3:80").may_be("10.1.2.3".parse().expect("an address")));
    }
}
