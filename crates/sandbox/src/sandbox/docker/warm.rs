//! Sandboxes prepared ahead of need: started containers whose shim has not been told yet whom it serves.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use trajforge_schema::RunName;

use super::Blank;
use crate::spec::{Layer, Network, SandboxSpec};

/// What a container can't change any more once it is there. Everything else is told in the handshake.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) image: String,
    pub(super) run: RunName,
    pub(super) network: Network,
    pub(super) memory_mb: u64,
    pub(super) cpus: f64,
    pub(super) pids: u32,
    pub(super) layers: Vec<Layer>,
}

impl Shape {
    pub(super) fn of(spec: &SandboxSpec) -> Self {
        Self {
            image: spec.image.clone(),
            run: spec.run.clone(),
            // What is listed is reached through a tunnel, which can be opened later.
            network: if spec.network == Network::Bridge { Network::Bridge } else { Network::None },
            memory_mb: spec.limits.memory_mb,
            cpus: spec.limits.cpus,
            pids: spec.limits.pids,
            layers: spec.layers.clone(),
        }
    }
}

/// Those that wait to be needed.
#[derive(Debug, Default)]
pub(super) struct Warm {
    depth: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The oldest first.
    idle: VecDeque<Blank>,
    /// Shapes under way.
    coming: Vec<Shape>,
    is_paused: bool,
}

impl Warm {
    /// At most so many of one shape, and twice as many of all.
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, state: Mutex::default() }
    }

    /// One of that shape, if there is any.
    pub(super) fn take(&self, shape: &Shape) -> Option<Blank> {
        let mut state = self.lock();
        state.is_paused = false;
        let place = state.idle.iter().position(|blank| blank.shape == *shape)?;
        state.idle.remove(place)
    }

    /// Whether one more of that shape is to be prepared; if so it counts as under way until it is [`added`](Self::add)
    /// or [`missed`](Self::miss).
    pub(super) fn wants(&self, shape: &Shape) -> bool {
        let mut state = self.lock();
        let idle = state.idle.iter().filter(|blank| blank.shape == *shape).count();
        let coming = state.coming.iter().filter(|coming| *coming == shape).count();
        let wanted = !state.is_paused && idle + coming < self.depth;
        if wanted {
            state.coming.push(shape.clone());
        }
        wanted
    }

    /// Puts one in; gives back what there is no room for, to be ended.
    #[must_use]
    pub(super) fn add(&self, blank: Blank) -> Option<Blank> {
        let mut state = self.lock();
        state.forget(&blank.shape);
        if state.is_paused {
            return Some(blank);
        }
        state.idle.push_back(blank);
        if state.idle.len() > 2 * self.depth { state.idle.pop_front() } else { None }
    }

    /// One that was under way has not come.
    pub(super) fn miss(&self, shape: &Shape) {
        self.lock().forget(shape);
    }

    /// Takes all out, to be ended; none is prepared before the next is asked for.
    pub(super) fn pause(&self) -> VecDeque<Blank> {
        let mut state = self.lock();
        state.is_paused = true;
        std::mem::take(&mut state.idle)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, shape: &Shape) {
        if let Some(place) = self.coming.iter().position(|coming| coming == shape) {
            self.coming.swap_remove(place);
        }
    }
}
