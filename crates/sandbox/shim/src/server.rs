//! From frames to answers: reads what the host asks, and has it done.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use trajforge_shim::frame::{Decoder, Frame, Kind};
use trajforge_shim::protocol::{
    HOST_FOLDER, Hello, Identity, Problem, ProblemKind, Request, Response, SECRET_FOLDER, SECRET_UID,
    SHIM_PATH, Shell, VERSION, Welcome,
};

use crate::outlet::{failed_to, problem};
use crate::world::World;
use crate::{as_agent, exec, files, folder, list, pack, process, quota, search, tunnel, unpack, usage};

/// Of the thread that serves the host on a line of its own.
const STACK: usize = 256 << 10;

type Answer = Result<(Response, Vec<u8>), Problem>;

/// Serves until the host closes its end.
pub(crate) fn serve(world: &Arc<World>, input: OwnedFd) -> io::Result<()> {
    let mut input = File::from(input);
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        decoder.feed(&buffer[..count]);
        while let Some(frame) = decoder.next_frame().map_err(io::Error::other)? {
            take(world, frame);
        }
    }
}

fn take(world: &Arc<World>, frame: Frame) {
    if frame.kind != Kind::Call {
        return world.streams.take(frame);
    }
    let id = frame.id;
    match serde_json::from_slice::<Request>(&frame.header) {
        Err(error) => world
            .outlet
            .fail(id, &problem(ProblemKind::Malformed, format!("the request makes no sense: {error}"))),
        Ok(Request::Hello(hello)) => match greet(world, hello) {
            Ok((welcome, Some(line))) => world.outlet.reply_and_move(id, &Response::Hello(welcome), line),
            Ok((welcome, None)) => world.outlet.reply(id, &Response::Hello(welcome), Vec::new()),
            Err(problem) => world.outlet.fail(id, &problem),
        },
        Ok(_) if !world.is_greeted() => {
            world.outlet.fail(id, &problem(ProblemKind::Malformed, "the first request must be hello"));
        }
        Ok(request) => dispatch(world, id, request, frame.payload),
    }
}

/// What must be in the order of its arrival, or must work even when no thread is to be had, is done right here.
fn dispatch(world: &Arc<World>, id: u32, request: Request, payload: Vec<u8>) {
    match request {
        Request::Shell(shell) => run_in_session(world, id, shell),
        Request::Kill(kill) => {
            let spared = if kill.spare_services { world.services.sessions() } else { HashSet::default() };
            let processes = process::kill_others(&spared);
            answer(world, id, Ok((Response::Killed { processes }, Vec::new())));
        }
        Request::Unpack(request) => {
            let pieces = world.streams.receive(id);
            let shared = Arc::clone(world);
            world.pool.run(Box::new(move || {
                let done = unpack::run(&shared, &request, (id, pieces));
                shared.streams.close(id);
                answer(&shared, id, done.map(|unpacked| (Response::Unpacked(unpacked), Vec::new())));
            }));
        }
        Request::Pack(request) => {
            let credit = world.streams.send(id);
            let shared = Arc::clone(world);
            world.pool.run(Box::new(move || {
                if let Err(problem) = pack::run(&shared, &request, (id, &credit)) {
                    shared.outlet.fail(id, &problem);
                }
                shared.streams.close(id);
            }));
        }
        other => {
            let shared = Arc::clone(world);
            world.pool.run(Box::new(move || {
                let done = carry_out(&shared, other, &payload);
                answer(&shared, id, done);
            }));
        }
    }
}

fn run_in_session(world: &Arc<World>, id: u32, shell: Shell) {
    let shared = Arc::clone(world);
    let identity = shell.identity;
    let reply = move |done: Result<_, _>| {
        let done = done.map(|(ran, output)| (Response::Ran(ran), output));
        answer(&shared, id, if identity == Identity::Agent { within_quota(&shared, done) } else { done });
    };
    world.sessions.run(world, shell, Box::new(reply));
}

fn carry_out(world: &World, request: Request, payload: &[u8]) -> Answer {
    match request {
        Request::Exec(program) => {
            let done = exec::run(world, &program, payload).map(|(ran, output)| (Response::Ran(ran), output));
            if program.identity == Identity::Agent { within_quota(world, done) } else { done }
        }
        Request::Read(read) => files::read(world, &read),
        Request::ReadRaw(read) => files::read_raw(world, &read),
        Request::Write(write) => files::write(world, &write, payload),
        Request::Edit(edit) => files::edit(world, &edit),
        Request::Search(search) => search::run(world, &search),
        Request::List(list) => list::run(world, &list),
        Request::Manifest(tree) => within_quota(world, world.trees.manifest(&tree.root)),
        Request::Delta(tree) => within_quota(world, world.trees.delta(&tree.root)),
        Request::StartService(service) => world
            .services
            .start(world, &service)
            .map(|(started, output)| (Response::Service(started), output)),
        Request::StopServices => {
            let stopped = world.services.stop();
            Ok((Response::Services { stopped }, Vec::new()))
        }
        Request::Tunnel(tunnel) => tunnel::open(&tunnel),
        Request::Usage => Ok((Response::Usage(usage::now()), Vec::new())),
        Request::Hello(_) | Request::Shell(_) | Request::Kill(_) | Request::Pack(_) | Request::Unpack(_) => {
            Err(problem(ProblemKind::Malformed, "the request was dispatched twice"))
        }
    }
}

/// An answer, or the limit that was exceeded meanwhile: whatever was done then was ended before its time.
fn within_quota(world: &World, answer: Answer) -> Answer {
    world.quota.take().map_or(answer, Err)
}

fn answer(world: &World, id: u32, answer: Answer) {
    match answer {
        Ok((response, payload)) => world.outlet.reply(id, &response, payload),
        Err(problem) => world.outlet.fail(id, &problem),
    }
}

/// What the host is told, and the line that all later answers go through, if there is one beside the first.
fn greet(world: &Arc<World>, hello: Hello) -> Result<(Welcome, Option<OwnedFd>), Problem> {
    if hello.version != VERSION {
        return Err(problem(
            ProblemKind::Version,
            format!("the host speaks version {}, the shim {VERSION}", hello.version),
        ));
    }
    prepare(&hello).map_err(|error| failed_to("prepare the sandbox", &error))?;
    let disk_bytes = hello.disk_bytes;
    let name = hello.line.clone();
    if !world.greet(hello) {
        return Err(problem(ProblemKind::Malformed, "there was a hello before"));
    }
    quota::watch(world, disk_bytes).map_err(|error| failed_to("watch the disk", &error))?;
    // Where the host can't be called there is still the line that it has called on.
    let line = name.and_then(|name| call_back(world, &name).ok());
    Ok((Welcome { version: VERSION, bash: world.bash.is_some(), is_called_back: line.is_some() }, line))
}

/// Calls the host on its socket, and serves what it asks there.
fn call_back(world: &Arc<World>, socket: &str) -> io::Result<OwnedFd> {
    let line = UnixStream::connect(Path::new(HOST_FOLDER).join(socket))?;
    let input = OwnedFd::from(line.try_clone()?);
    let shared = Arc::clone(world);
    thread::Builder::new().stack_size(STACK).spawn(move || {
        let _ = serve(&shared, input);
        crate::end();
    })?;
    Ok(line.into())
}

fn prepare(hello: &Hello) -> io::Result<()> {
    let workspace = folder::make(hello.workspace.as_bytes(), (hello.uid, hello.gid))?;
    let here = rustix::fs::fstat(&workspace)?;
    if here.st_uid != hello.uid {
        folder::give(&workspace, (hello.uid, hello.gid))?;
    }
    folder::give(folder::find(SECRET_FOLDER.as_bytes())?, (SECRET_UID, SECRET_UID))?;
    std::fs::create_dir_all(format!("{SECRET_FOLDER}/bin"))?;
    std::fs::write(as_agent::record(), serde_json::to_vec(hello)?)?;
    std::os::unix::fs::symlink(SHIM_PATH, format!("{SECRET_FOLDER}/bin/as-agent"))
}
