//! `nop`: does nothing; the control that must earn nothing.

use async_trait::async_trait;
use trajforge_schema::{Ending, Failure, Provenance};

use crate::scaffold::{Decision, Offer, Scaffold, Seen};

/// Does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nop;

#[async_trait]
impl Scaffold for Nop {
    fn offer(&self) -> Offer {
        Offer { version: "1".to_owned(), ..Offer::default() }
    }

    fn provenance(&self) -> Provenance {
        Provenance::Control
    }

    async fn decide(&mut self, _: &[Seen]) -> Result<Decision, Failure> {
        Ok(Decision { ending: Some(Ending::Stopped), ..Decision::default() })
    }
}
