//! An agent that comes near a limit is told so, once for each limit, while there is still room to end well.

use std::time::Duration;

use trajforge_router::Left;
use trajforge_schema::Limits;

/// What it is told; `{left}` stands for what is left of what.
pub(super) const WRAP_UP: &str = include_str!("wrap_up.md");
/// Steps that are enough to end well, unless the limit is lower than twice that.
const STEPS: u32 = 5;
/// The share of time or money that is left then.
const SHARE: f64 = 0.15;
/// Requests that are left then, if each costs as much as it can.
const REQUESTS: u64 = 4;

/// How near the limits are.
#[derive(Debug)]
pub(super) struct WrapUp {
    steps: u32,
    taken: u32,
    time: Duration,
    told_of_steps: bool,
    told_of_time: bool,
    told_of_money: bool,
}

impl WrapUp {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            steps: limits.steps,
            taken: 0,
            time: Duration::from_secs(limits.rollout_seconds),
            told_of_steps: false,
            told_of_time: false,
            told_of_money: false,
        }
    }

    /// So many more steps were taken.
    pub(super) fn count(&mut self, steps: usize) {
        self.taken = self.taken.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
    }

    /// What is to be said before the next turn, after so much time and with so much money left.
    pub(super) fn notice(&mut self, used: Duration, money: Option<Left>) -> Option<String> {
        let left = self.near_steps().or_else(|| self.near_time(used)).or_else(|| self.near_money(money))?;
        Some(WRAP_UP.replace("{left}", &left))
    }

    fn near_steps(&mut self) -> Option<String> {
        let left = self.steps.saturating_sub(self.taken);
        let near = STEPS.max(self.steps / 10).min(self.steps / 2);
        if self.told_of_steps || left > near || self.taken == 0 {
            return None;
        }
        self.told_of_steps = true;
        Some(if left == 1 { "1 action is".to_owned() } else { format!("{left} actions are") })
    }

    fn near_time(&mut self, used: Duration) -> Option<String> {
        let left = self.time.saturating_sub(used);
        if self.told_of_time || left > self.time.mul_f64(SHARE) {
            return None;
        }
        self.told_of_time = true;
        Some(format!("About {} seconds are", left.as_secs()))
    }

    fn near_money(&mut self, money: Option<Left>) -> Option<String> {
        let Left { share, requests } = money?;
        if self.told_of_money || (share > SHARE && requests.is_none_or(|requests| requests > REQUESTS)) {
            return None;
        }
        self.told_of_money = true;
        Some(format!("About {:.0} % of the budget is", share * 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(steps: u32) -> Vec<(u32, String)> {
        let mut wrap_up = WrapUp::new(&Limits { steps, ..Limits::default() });
        let mut told = Vec::new();
        for taken in 0..steps {
            wrap_up.count(usize::from(taken > 0));
            told.extend(wrap_up.notice(Duration::ZERO, None).map(|text| (taken, text)));
        }
        told
    }

    #[test]
    fn the_steps_that_are_left_are_told_once_and_early_enough() {
        for (steps, after) in [(100, 90), (20, 15), (4, 2), (2, 1)] {
            let told = at(steps);
            assert_eq!(told.len(), 1, "{steps}: {told:?}");
            assert_eq!(told[0].0, after, "{steps}");
            assert!(told[0].1.starts_with(&format!("{} action", steps - after)), "{told:?}");
        }
        assert_eq!(at(1), []);
    }

    #[test]
    fn what_is_left_of_time_and_money_is_told_once() {
        let mut wrap_up = WrapUp::new(&Limits { rollout_seconds: 100, ..Limits::default() });
        let mut at = |seconds, share, requests| {
            wrap_up.notice(Duration::from_secs(seconds), Some(Left { share, requests }))
        };
        assert_eq!(at(84, 0.5, None), None);
        assert!(at(86, 0.5, Some(10)).unwrap().starts_with("About 14 seconds are left."));
        assert_eq!(at(87, 0.2, Some(5)), None);
        assert!(at(87, 0.3, Some(4)).unwrap().starts_with("About 30 % of the budget is left."));
        assert_eq!(at(99, 0.0, Some(0)), None);
    }
}
