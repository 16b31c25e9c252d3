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
    /// How many of a shape will still be asked for, where that was told.
    expected: Vec<(Shape, u64)>,
    is_paused: bool,
}

impl Warm {
    /// At most so many of one shape, and twice as many of all.
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, state: Mutex::default() }
    }

    /// Takes in how many more of a shape will be asked for.
    pub(super) fn expect(&self, shape: Shape, count: u64) {
        let mut state = self.lock();
        match state.expected_mut(&shape) {
            Some(left) => *left += count,
            None => state.expected.push((shape, count)),
        }
    }

    /// One of that shape, if there is any.
    pub(super) fn take(&self, shape: &Shape) -> Option<Blank> {
        let mut state = self.lock();
        state.is_paused = false;
        if let Some(left) = state.expected_mut(shape) {
            *left = left.saturating_sub(1);
        }
        let place = state.idle.iter().position(|blank| blank.shape == *shape)?;
        state.idle.remove(place)
    }

    /// Whether one more of that shape is to be prepared; if so it counts as under way until it is [`added`](Self::add)
    /// or [`missed`](Self::miss). What is known to be needed makes no room for another.
    pub(super) fn wants(&self, shape: &Shape) -> bool {
        let mut state = self.lock();
        let idle = state.idle.iter().filter(|blank| blank.shape == *shape).count();
        let coming = state.coming.iter().filter(|coming| *coming == shape).count();
        let left =
            state.expected(shape).map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let needed = state.idle.iter().map(|blank| &blank.shape).chain(&state.coming);
        let needed = needed.filter(|shape| state.expected(shape).is_some_and(|left| left > 0)).count();
        let has_room = needed < 2 * self.depth;
        let wanted = !state.is_paused && has_room && idle + coming < self.depth.min(left);
        if wanted {
            state.coming.push(shape.clone());
        }
        wanted
    }

    /// Puts one in; gives back what there is no room for, to be ended: the oldest of those that nobody is known to need.
    #[must_use]
    pub(super) fn add(&self, blank: Blank) -> Option<Blank> {
        let mut state = self.lock();
        state.forget(&blank.shape);
        if state.is_paused {
            return Some(blank);
        }
        state.idle.push_back(blank);
        if state.idle.len() <= 2 * self.depth {
            return None;
        }
        let is_idle_for_ever = |blank: &Blank| state.expected(&blank.shape).is_none_or(|left| left == 0);
        let place = state.idle.iter().position(is_idle_for_ever).unwrap_or(0);
        state.idle.remove(place)
    }

    /// One that was under way has not come.
    pub(super) fn miss(&self, shape: &Shape) {
        self.lock().forget(shape);
    }

    /// Takes all out, to be ended; none is prepared before the next is asked for.
    pub(super) fn pause(&self) -> VecDeque<Blank> {
        let mut state = self.lock();
        state.is_paused = true;
        state.expected.clear();
        std::mem::take(&mut state.idle)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn expected(&self, shape: &Shape) -> Option<u64> {
        self.expected.iter().find(|(expected, _)| expected == shape).map(|(_, left)| *left)
    }

    fn expected_mut(&mut self, shape: &Shape) -> Option<&mut u64> {
        self.expected.iter_mut().find(|(expected, _)| expected == shape).map(|(_, left)| left)
    }

    fn forget(&mut self, shape: &Shape) {
        if let Some(place) = self.coming.iter().position(|coming| coming == shape) {
            self.coming.swap_remove(place);
        }
    }
}
