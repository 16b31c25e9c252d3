//! The way out for what is listed: an HTTP proxy on the host's loopback, which sandboxes reach through a tunnel.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::JoinHandle;

use crate::isolation::Destination;

/// The port of a sandbox's loopback that leads to the proxy.
pub(crate) const PORT: u16 = 3128;
/// Bytes of a request's head.
const MOST_HEAD: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(15);

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// What a client asks for.
struct Asked {
    host: String,
    port: u16,
    /// What the other side is sent first; absent for a tunnel.
    head: Option<Vec<u8>>,
}

impl Proxy {
    /// Begins to serve these destinations.
    pub(crate) async fn start(destinations: &[Destination]) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let destinations: Arc<[Destination]> = destinations.into();
        let task = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    // No descriptor is free: somebody will close one.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let destinations = Arc::clone(&destinations);
                tokio::spawn(async move {
                    if let Err(error) = serve(client, &destinations).await {
                        tracing::debug!("a connection through the egress proxy ended: {error}");
                    }
                });
            }
        });
        Ok(Self { address, task })
    }

    /// Where it is on the host.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What programs in a sandbox have to be told to find the proxy.
pub(crate) fn variables() -> impl Iterator<Item = (String, String)> {
    let proxy = format!("http://127.0.0.1:{PORT}");
    let names = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"];
    let proxies = names.into_iter().map(move |name| (name.to_owned(), proxy.clone()));
    let direct = ["no_proxy", "NO_PROXY"].map(|name| (name.to_owned(), "localhost,127.0.0.1,::1".to_owned()));
    proxies.chain(direct)
}

async fn serve(mut client: TcpStream, destinations: &[Destination]) -> io::Result<()> {
    let (head, rest) = tokio::time::timeout(PATIENCE, read_head(&mut client)).await??;
    let Some(asked) = asked(&head) else {
        return refuse(&mut client, "400 Bad Request", "this proxy takes CONNECT and http:// requests").await;
    };
    let Some(destination) = destinations.iter().find(|one| one.covers(&asked.host, asked.port)) else {
        let what = format!("{}:{} is not on the list of what this sandbox may reach", asked.host, asked.port);
        return refuse(&mut client, "403 Forbidden", &what).await;
    };
    let mut server = match connect(&asked, destination).await {
        Ok(server) => server,
        Err(error) => {
            let what = format!("{}:{} can't be reached: {error}", asked.host, asked.port);
            return refuse(&mut client, "502 Bad Gateway", &what).await;
        }
    };
    match &asked.head {
        Some(head) => server.write_all(head).await?,
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
    }
    server.write_all(&rest).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// The head of a request with its empty line, and what came after it.
async fn read_head(client: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if client.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Ok((read, rest));
        }
        if read.len() > MOST_HEAD {
            return Err(io::Error::other("the head of a request has no end"));
        }
    }
}

fn asked(head: &[u8]) -> Option<Asked> {
    let text = std::str::from_utf8(head).ok()?;
    let (line, headers) = text.split_once("\r\n")?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method == "CONNECT" {
        let (host, port) = authority(target, None)?;
        return Some(Asked { host, port, head: None });
    }
    let rest = target.strip_prefix("http://")?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, port) = authority(&rest[..at], Some(80))?;
    let path = if rest[at..].starts_with('/') { rest[at..].to_owned() } else { format!("/{}", &rest[at..]) };
    // One request, one connection: the next one may be for another host.
    let kept = headers.split("\r\n").filter(|header| {
        let name = header.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !header.is_empty()
            && !matches!(name.as_str(), "connection" | "proxy-connection" | "proxy-authorization")
    });
    let mut head = format!("{method} {path} {version}\r\nConnection: close\r\n");
    for header in kept {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    Some(Asked { host, port, head: Some(head.into_bytes()) })
}

fn authority(text: &str, port: Option<u16>) -> Option<(String, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let port = after.strip_prefix(':').map_or(Ok(port), |digits| digits.parse().map(Some));
        return Some((host.to_owned(), port.ok()??));
    }
    match text.split_once(':') {
        Some((host, digits)) => Some((host.to_owned(), digits.parse().ok()?)),
        None => Some((text.to_owned(), port?)),
    }
}

async fn connect(asked: &Asked, destination: &Destination) -> io::Result<TcpStream> {
    let addresses = lookup_host((asked.host.as_str(), asked.port)).await?;
    let mut last = io::Error::other("its name leads to no public address");
    for address in addresses.filter(|address| destination.may_be(address.ip())) {
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(server)) => return Ok(server),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn refuse(client: &mut TcpStream, status: &str, what: &str) -> io::Result<()> {
    let length = what.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{what}\n"
    );
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await
}
