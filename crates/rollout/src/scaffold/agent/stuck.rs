//! Whether an agent goes in circles. The figures are those of OpenHands' stuck detector.

use trajforge_schema::{Action, Digest, Observation};

/// What an agent that goes in circles is told.
pub(super) const STUCK: &str = include_str!("stuck.md");
/// The same action with the same result, so many times.
const SAME: usize = 4;
/// The same action with an error, so many times.
const SAME_ERROR: usize = 3;
/// Two actions by turns, each with the same result, so many in all.
const PING_PONG: usize = 6;
/// Steps after which an agent that was told has earned a second telling.
const FORGIVEN: usize = 20;

/// The last steps, as far as they matter.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    recent: Vec<Glance>,
    /// Steps since the agent was told.
    since: Option<usize>,
}

/// What to do about a circle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Circle {
    /// Say so, in these words.
    ToBeTold(&'static str),
    /// It was told, and goes on.
    Told,
}

#[derive(Debug, Clone, PartialEq)]
struct Glance {
    action: Action,
    observation: Digest,
    is_error: bool,
}

impl Stuck {
    /// One more step.
    pub(super) fn see(&mut self, action: &Action, observation: &Observation) {
        let text = format!("{:?} {}", observation.exit_code, observation.text);
        let (observation, is_error) = (Digest::of(text.as_bytes()), observation.is_error);
        self.recent.push(Glance { action: action.clone(), observation, is_error });
        if self.recent.len() > PING_PONG {
            self.recent.remove(0);
        }
        self.since = self.since.map(|since| since + 1).filter(|since| *since <= FORGIVEN);
    }

    /// The circle that the last steps make, if they do; they are forgotten with it.
    pub(super) fn circle(&mut self) -> Option<Circle> {
        let how = self.how()?;
        self.recent.clear();
        let told = self.since.replace(0).is_some();
        Some(if told { Circle::Told } else { Circle::ToBeTold(how) })
    }

    fn how(&self) -> Option<&'static str> {
        let last = self.recent.last()?;
        let tail = |count: usize| self.recent.len().checked_sub(count).map(|from| &self.recent[from..]);
        let all =
            |count, holds: &dyn Fn(&Glance) -> bool| tail(count).is_some_and(|tail| tail.iter().all(holds));
        if all(SAME_ERROR, &|one| one.action == last.action && one.is_error) {
            return Some("you took the same action three times, and each time it failed");
        }
        if all(SAME, &|one| one == last) {
            return Some("you took the same action four times, and saw the same each time");
        }
        let swings =
            |tail: &[Glance]| tail.windows(3).all(|three| three[0] == three[2]) && tail[0] != tail[1];
        tail(PING_PONG)
            .is_some_and(swings)
            .then_some("you took the same two actions by turns, three times, and saw the same each time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a sequence of steps leads to: a letter is an action, an exclamation mark after it a failure.
    fn circles(steps: &str) -> Vec<(usize, bool)> {
        let mut stuck = Stuck::default();
        let mut found = Vec::new();
        for (number, step) in steps.split(' ').enumerate() {
            let action = Action::Search { pattern: step[..1].to_owned(), path: None };
            let text = if step.ends_with('?') { format!("seen at {number}") } else { "the same".to_owned() };
            let observation = Observation { text, is_error: step.ends_with('!'), ..Observation::default() };
            stuck.see(&action, &observation);
            found.extend(stuck.circle().map(|circle| (number + 1, circle == Circle::Told)));
        }
        found
    }

    #[test]
    fn each_kind_of_circle_is_seen_when_it_closes_and_not_before() {
        assert_eq!(circles("a a a"), []);
        assert_eq!(circles("b a a a a"), [(5, false)]);
        assert_eq!(circles("a! a!"), []);
        assert_eq!(circles("a! a! a!"), [(3, false)]);
        assert_eq!(circles("a b a b a"), []);
        assert_eq!(circles("a b a b a b"), [(6, false)]);
    }

    #[test]
    fn whoever_sees_something_else_each_time_does_not_go_in_circles() {
        assert_eq!(circles("a? a? a? a? a? a? a? a?"), []);
        assert_eq!(circles("a b c a b c a b c"), []);
    }

    #[test]
    fn the_second_circle_is_the_last_unless_much_lies_between() {
        assert_eq!(circles("a a a a b b b b"), [(4, false), (8, true)]);
        let between = "c d e f g h i j k l m n o p q r s t u v w";
        assert_eq!(circles(&format!("a a a a {between} b b b b")), [(4, false), (29, false)]);
    }
}
