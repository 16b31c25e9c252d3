//! The gateway on its own: one session for whoever asks, over all the models there are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use trajforge_router::budget::{Account, Budget};
use trajforge_router::gateway::{
    AtCap, Capture, CaptureFile, Gateway, GatewaySpec, OtherModels, Served, Session, SessionReport,
    SessionSpec, SideCalls,
};
use trajforge_router::pressure::{Parking, Pressures};
use trajforge_router::{Cassette, Catalog, Secret};
use trajforge_schema::{Caps, Clock, MicroDollars, RunName, Unpriced};

use crate::error::Error;

/// The name of the one session, and of the run that pays.
const NAME: &str = "gateway";

/// An entry whose key is not there: its name, and the variable that is not set.
pub type LeftOut = (String, String);

/// What to serve, and how.
#[derive(Debug)]
pub struct GatewayOrder {
    /// The folder of the models' entries.
    pub models: PathBuf,
    /// Which of them; all whose keys are there where empty.
    pub names: Vec<String>,
    /// The port on the loopback interface; 0 for any that is free.
    pub port: u16,
    /// A file that every exchange is added to.
    pub capture: Option<PathBuf>,
    /// A cassette, and what to do with it.
    pub cassette: Option<(PathBuf, Tape)>,
    /// The most that may be spent.
    pub max_cost: Option<MicroDollars>,
    /// The most replies that are given.
    pub max_steps: Option<u64>,
    /// Whether models without a price are served.
    pub allow_unpriced: bool,
    /// What the session's key is derived from.
    pub seed: [u8; 32],
}

/// What to do with a cassette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tape {
    /// Add to it.
    Record,
    /// Play it, and send nothing.
    Replay,
}

impl Tape {
    /// The cassette in a file.
    pub fn open(self, path: &Path) -> Result<Arc<Cassette>, Error> {
        Ok(match self {
            Self::Record => Cassette::record(path)?,
            Self::Replay => Cassette::replay(path)?,
        })
    }
}

/// A gateway that serves.
pub struct Serving {
    gateway: Gateway,
    session: Session,
    models: Vec<String>,
    left_out: Vec<LeftOut>,
}

/// Begins to serve. It ends with [`Serving::stop`].
pub async fn serve(
    order: GatewayOrder,
    key: fn(&str) -> Option<Secret>,
    clock: Arc<dyn Clock>,
) -> Result<Serving, Error> {
    let cassette = order.cassette.as_ref().map(|(path, tape)| tape.open(path)).transpose()?;
    let needs_keys = cassette.as_ref().is_none_or(|cassette| !cassette.is_replay());
    let (served, left_out) =
        servable(&order, |variable| if needs_keys { key(variable) } else { Some(Secret::new("")) })?;
    let models = served.iter().map(|served| served.entry.name.clone()).collect();
    let capture = capture(&order)?;
    let caps = Caps { run: order.max_cost, ..Caps::default() };
    let gateway = Gateway::start(GatewaySpec {
        address: ([127, 0, 0, 1], order.port).into(),
        seed: order.seed,
        budget: Budget::new(caps, clock, Arc::new(|_| {})),
        pressures: Arc::new(Pressures::new(0)),
        cassette,
    })
    .await?;
    let run: RunName = NAME.parse().expect("a plain word is a name");
    let session = gateway.open(SessionSpec {
        name: NAME.to_owned(),
        account: Account { run: Some(run), ..Account::default() },
        models: served,
        other_models: OtherModels::Refuse,
        max_steps: order.max_steps,
        at_cap: AtCap::Unauthorized,
        side_calls: SideCalls::default(),
        unpriced: if order.allow_unpriced { Unpriced::Allow } else { Unpriced::Refuse },
        capture,
        gate: None,
        parking: Parking::default(),
    })?;
    Ok(Serving { gateway, session, models, left_out })
}

/// The models there are, and the entries that are left out for want of a key.
fn servable(
    order: &GatewayOrder,
    key: impl Fn(&str) -> Option<Secret>,
) -> Result<(Vec<Served>, Vec<LeftOut>), Error> {
    let catalog = Catalog::read(&order.models)?;
    let (mut served, mut left_out) = (Vec::new(), Vec::new());
    let names: Vec<&str> = match order.names.as_slice() {
        [] => catalog.entries().map(|entry| entry.name.as_str()).collect(),
        names => names.iter().map(String::as_str).collect(),
    };
    for name in names {
        let entry = catalog.entry(name)?.clone();
        let is_named = !order.names.is_empty();
        if entry.price.is_none() && !order.allow_unpriced && !is_named {
            continue;
        }
        let key = entry.key_variable.as_deref().and_then(&key);
        match entry.key_variable.clone().filter(|_| key.is_none()) {
            None => served.push(Served { entry, key }),
            Some(variable) if is_named => {
                return Err(trajforge_router::Error::KeyMissing { model: entry.name, variable }.into());
            }
            Some(variable) => left_out.push((entry.name, variable)),
        }
    }
    if served.is_empty() {
        return Err(trajforge_router::Error::UnknownModel { name: "*".to_owned(), known: Vec::new() }.into());
    }
    Ok((served, left_out))
}

fn capture(order: &GatewayOrder) -> Result<Capture, Error> {
    let Some(path) = &order.capture else { return Ok(Arc::new(|_| {})) };
    Ok(CaptureFile::open(path)?.capture())
}

impl Serving {
    /// What clients are given.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The models that are served, by name.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Entries that are left out.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Ends it, and tells what it came to.
    pub async fn stop(self) -> SessionReport {
        let report = self.gateway.close(self.session).await;
        self.gateway.stop().await;
        report
    }
}
