//! One HTTP request from inside the sandbox: over bash's `/dev/tcp`, since few images have a client.

use std::fmt::Write as _;
use std::time::Duration;

use trajforge_sandbox::{Exec, Sandbox, SandboxExt as _};
use url::Url;

use super::Told;

/// Connects, sends what comes on its standard input, and prints what comes back.
const SCRIPT: &str = r#"exec 3<>"/dev/tcp/$0/$1" || exit 7; cat >&3; cat <&3"#;
/// What the script ends with when nobody listens.
const NO_CONNECTION: i32 = 7;
/// What a shell ends with that is not there.
const NO_SHELL: [i32; 2] = [126, 127];
/// Bytes of a response that are read.
const MOST_BYTES: u64 = 4 << 20;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) url: Url,
    /// The content of a POST; a GET where absent.
    pub(super) form: Option<String>,
}

/// What came back.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fetched {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether the end of the body is missing.
    pub(super) is_cut: bool,
}

impl Order {
    pub(super) fn get(url: Url) -> Self {
        Self { url, form: None }
    }

    /// The order that follows a redirection: only 307 and 308 send the form again.
    pub(super) fn redirected(self, url: Url, status: u16) -> Self {
        let form = self.form.filter(|_| [307, 308].contains(&status));
        Self { url, form }
    }

    /// The bytes of the request; HTTP/1.0, so that the end of the connection is the end of the response.
    fn bytes(&self, cookies: &str) -> Vec<u8> {
        let url = &self.url;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let method = if self.form.is_some() { "POST" } else { "GET" };
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let mut head =
            format!("{method} {}{query} HTTP/1.0\r\nHost: {host}{port}\r\nConnection: close\r\n", url.path());
        head.push_str("User-Agent: trajforge\r\nAccept: text/html, text/plain, */*\r\n");
        if !cookies.is_empty() {
            let _ = write!(head, "Cookie: {cookies}\r\n");
        }
        let body = self.form.as_deref().unwrap_or_default();
        if self.form.is_some() {
            let _ = write!(
                head,
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        format!("{head}\r\n{body}").into_bytes()
    }
}

impl Fetched {
    /// A header's first value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub(super) fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Where it sends the client.
    pub(super) fn redirection(&self) -> Option<&str> {
        [301, 302, 303, 307, 308].contains(&self.status).then(|| self.header("location")).flatten()
    }

    /// Reads a response.
    fn read(bytes: &[u8], is_cut: bool) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split_whitespace();
        let status =
            first.next().filter(|version| version.starts_with("HTTP/")).and(first.next())?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers: Vec<(String, String)> = lines.filter_map(header).collect();
        let mut fetched = Self { status, headers, body: bytes[end + 4..].to_vec(), is_cut };
        if fetched.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            fetched.body = without_chunks(&fetched.body);
        }
        Some(fetched)
    }
}

/// A body that a server sends in chunks although it was not asked to.
fn without_chunks(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&bytes[..end]);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let rest = &bytes[end + 2..];
        let size = size.min(rest.len());
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[..size]);
        bytes = rest.get(size + 2..).unwrap_or_default();
    }
    body
}

/// Makes a request as the agent, inside the sandbox.
pub(super) async fn fetch(
    sandbox: &dyn Sandbox,
    order: &Order,
    cookies: &str,
    most: Duration,
) -> Result<Told<Fetched>, trajforge_sandbox::Error> {
    let url = &order.url;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let mut exec = Exec::argv(["bash", "-c", SCRIPT, host, &port.to_string()])
        .with_stdin(order.bytes(cookies))
        .within(most);
    exec.output_bytes = Some(MOST_BYTES * 2);
    let ran = sandbox.exec(exec).await?;
    if ran.timed_out {
        return Ok(Err(format!("{url} did not answer within {} s.", most.as_secs())));
    }
    match ran.exit_code {
        NO_CONNECTION => return Ok(Err(format!("Nothing listens at {host}:{port}."))),
        code if NO_SHELL.contains(&code) => {
            return Ok(Err("Pages can't be fetched here: the image has no bash.".to_owned()));
        }
        _ => {}
    }
    let fetched = Fetched::read(&ran.output.head, ran.output.cut_bytes > 0);
    Ok(fetched.ok_or_else(|| format!("What answers at {host}:{port} does not speak HTTP.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_it_must_and_a_redirection_drops_the_form() {
        let url = Url::parse("http://127.0.0.1:8080/a/b?c=d#e").unwrap();
        let order = Order { url: url.clone(), form: Some("x=1".to_owned()) };
        let text = String::from_utf8(order.bytes("s=t")).unwrap();
        assert!(text.starts_with("POST /a/b?c=d HTTP/1.0\r\nHost: 127.0.0.1:8080\r\n"), "{text}");
        assert!(text.contains("Cookie: s=t\r\n") && text.ends_with("Content-Length: 3\r\n\r\nx=1"), "{text}");
        assert_eq!(order.clone().redirected(url.clone(), 303), Order::get(url.clone()));
        assert_eq!(order.clone().redirected(url, 307), order);
    }

    #[test]
    fn a_response_is_read_whole_in_chunks_and_not_at_all() {
        let plain =
            Fetched::read(b"HTTP/1.0 404 Not Found\r\nA: b\r\nSet-Cookie: x=y\r\n\r\nno\r\n\r\n", false)
                .unwrap();
        assert_eq!((plain.status, plain.body.as_slice()), (404, b"no\r\n\r\n".as_slice()));
        assert_eq!(plain.header("set-cookie"), Some("x=y"));
        let chunks =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(Fetched::read(chunks, false).unwrap().body, b"abcde");
        assert_eq!(Fetched::read(b"220 mail ready\r\n\r\n", false), None);
    }
}
