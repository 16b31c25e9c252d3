//! How many rollouts of each kind are still to come, so that sandboxes are prepared ahead for those and no others.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use trajforge_scheduler::{Row, RowState};
use trajforge_schema::{RolloutSpec, TemplateId};

/// A template and a scaffold: what decides which sandboxes a rollout takes.
type Kind = (TemplateId, String);

/// What nobody was told of yet.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    untold: Mutex<BTreeMap<Kind, u64>>,
}

impl Kinds {
    /// Of everything in a queue that is not settled.
    pub(crate) fn left(rows: &[Row]) -> Self {
        let kinds = Self::default();
        for row in rows.iter().filter(|row| !matches!(row.state, RowState::Done { .. })) {
            kinds.add(&row.spec);
        }
        kinds
    }

    /// One more.
    pub(crate) fn add(&self, spec: &RolloutSpec) {
        *self.lock().entry(kind(spec)).or_default() += 1;
    }

    /// How many like this one there will be, this one included, as far as that was not told before.
    pub(crate) fn tell(&self, spec: &RolloutSpec) -> Option<u64> {
        self.lock().remove(&kind(spec))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Kind, u64>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kind(spec: &RolloutSpec) -> Kind {
    (spec.template.clone(), spec.scaffold.clone())
}
