//! The way out of a sandbox without a network: ports that lead to a service of the host.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::exec::Exec;
use crate::sandbox::{Sandbox, SandboxExt};

/// Starts a service of the host that does the same with every connection.
async fn service<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    address
}

async fn echo(mut connection: TcpStream) -> std::io::Result<()> {
    let (mut from, mut to) = connection.split();
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

async fn python(sandbox: &dyn Sandbox, port: u16, script: &str) -> String {
    let script = format!("import socket, threading, time\nPORT = {port}\nHERE = '127.0.0.1', PORT\n{script}");
    let ran = sandbox.exec(Exec::argv(["python3", "-c", &script])).await.expect("it answers");
    ran.output.text()
}

pub(super) async fn many_connections_share_a_port(sandbox: &dyn Sandbox) {
    let port = sandbox.tunnel(0, service(echo).await).await.expect("a port is opened");
    let script = r"
answers = {}
def ask(number):
    text = bytes([number]) * (300_000 + number)
    with socket.create_connection(HERE) as link:
        writer = threading.Thread(target=lambda: (link.sendall(text), link.shutdown(socket.SHUT_WR)))
        writer.start()
        answers[number] = b''.join(iter(lambda: link.recv(65536), b'')) == text
threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sum(answers.values()))
";
    assert_eq!(python(sandbox, port, script).await, "40\n");
}

pub(super) async fn either_side_may_end_first(sandbox: &dyn Sandbox) {
    let count = |mut connection: TcpStream| async move {
        let mut all = Vec::new();
        let count = connection.read_to_end(&mut all).await?;
        connection.write_all(count.to_string().as_bytes()).await
    };
    let script = r"
with socket.create_connection(HERE) as link:
    link.sendall(b'x' * 1_000_001)
    link.shutdown(socket.SHUT_WR)
    print(link.recv(100).decode(), link.recv(100))
";
    let port = sandbox.tunnel(0, service(count).await).await.expect("a port is opened");
    assert_eq!(python(sandbox, port, script).await, "1000001 b''\n");

    let greet_and_listen = |mut connection: TcpStream| async move {
        connection.write_all(b"hello").await?;
        connection.shutdown().await?;
        let mut all = String::new();
        connection.read_to_string(&mut all).await?;
        assert_eq!(all, "still here");
        Ok(())
    };
    let script = r"
with socket.create_connection(HERE) as link:
    print(link.recv(5).decode(), link.recv(5))
    link.sendall(b'still here')
";
    let port = sandbox.tunnel(0, service(greet_and_listen).await).await.expect("a port is opened");
    assert_eq!(python(sandbox, port, script).await, "hello b''\n");

    let nobody = TcpListener::bind(("127.0.0.1", 0)).await.expect("there is a free port");
    let gone = nobody.local_addr().expect("it has an address");
    drop(nobody);
    let port = sandbox.tunnel(0, gone).await.expect("a port is opened");
    let script = "with socket.create_connection(HERE) as link: print(link.recv(1))";
    assert_eq!(python(sandbox, port, script).await, "b''\n");
}

pub(super) async fn what_streams_arrives_at_once(sandbox: &dyn Sandbox) {
    // Each piece is sent only after the one before has been confirmed, so nothing may wait for company.
    let drip = |mut connection: TcpStream| async move {
        for _ in 0..50 {
            connection.write_all(b"data: x\n\n").await?;
            connection.read_u8().await?;
        }
        Ok(())
    };
    let script = r"
count = 0
with socket.create_connection(HERE) as link:
    while link.recv(9, socket.MSG_WAITALL):
        count += 1
        link.sendall(b'.')
print(count)
";
    let port = sandbox.tunnel(0, service(drip).await).await.expect("a port is opened");
    assert_eq!(python(sandbox, port, script).await, "50\n");
}

pub(super) async fn a_slow_receiver_holds_its_sender(sandbox: &dyn Sandbox) {
    let deaf = |connection: TcpStream| async move {
        tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        drop(connection);
        Ok(())
    };
    let script = r"
sent = 0
with socket.create_connection(HERE) as link:
    link.settimeout(1)
    try:
        while sent < 200_000_000:
            sent += link.send(b'x' * 65536)
    except TimeoutError:
        pass
print('held' if sent < 40_000_000 else f'{sent} went nowhere')
";
    let port = sandbox.tunnel(0, service(deaf).await).await.expect("a port is opened");
    assert_eq!(python(sandbox, port, script).await, "held\n");
}

pub(super) async fn ports_of_the_task_are_its_own(sandbox: &dyn Sandbox) {
    let script = r"
served = socket.create_server(('127.0.0.1', 0))
threading.Thread(target=lambda: served.accept()[0].sendall(b'the task'), daemon=True).start()
print(socket.create_connection(served.getsockname()).recv(8).decode())
with socket.create_connection(HERE) as link:
    link.sendall(b'out')
    print(link.recv(3).decode())
";
    let port = sandbox.tunnel(0, service(echo).await).await.expect("a port is opened");
    assert_eq!(python(sandbox, port, script).await, "the task\nout\n");
    assert!(sandbox.tunnel(port, service(echo).await).await.is_err(), "a port that is taken");
}
