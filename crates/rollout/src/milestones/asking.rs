//! Scripts that only ask: nothing in them can change the shell that runs them.

/// Commands that ask and change nothing.
const ASKING: [&str; 4] = ["test", "[", "grep", "cmp"];

/// Whether a script is nothing but commands that ask, joined by `&&` and `||`, with words of plain text and quotes. What
/// can't be told at a glance (expansions, redirections, pipes) counts as no.
pub(super) fn only_asks(script: &str) -> bool {
    let Some(words) = words(script) else { return false };
    words.split(|word| matches!(word, Word::Joint)).all(|command| {
        let mut command = command.iter().skip_while(|word| word.is("!"));
        command.next().is_some_and(|first| ASKING.iter().any(|asking| first.is(asking)))
    })
}

/// A part of a command line.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    /// As it is written, quotes and all.
    Text(String),
    /// `&&` or `||`.
    Joint,
}

impl Word {
    fn is(&self, text: &str) -> bool {
        matches!(self, Self::Text(word) if word == text)
    }
}

/// The parts of a line; nothing where it holds anything but plain text, quotes and joints.
fn words(line: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut rest = line.chars();
    while let Some(next) = rest.next() {
        match next {
            ' ' | '\t' | '&' | '|' => {
                if !word.is_empty() {
                    words.push(Word::Text(std::mem::take(&mut word)));
                }
                if matches!(next, '&' | '|') {
                    if rest.next() != Some(next) {
                        return None;
                    }
                    words.push(Word::Joint);
                }
            }
            '\'' | '"' => {
                word.push(next);
                loop {
                    let inside = rest.next()?;
                    if next == '"' && matches!(inside, '$' | '`' | '\\') {
                        return None;
                    }
                    word.push(inside);
                    if inside == next {
                        break;
                    }
                }
            }
            _ if next.is_alphanumeric() || "!%+,-./:=@[]^_*?".contains(next) => word.push(next),
            _ => return None,
        }
    }
    if !word.is_empty() {
        words.push(Word::Text(word));
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::only_asks;

    #[test]
    fn what_only_asks_is_known() {
        for script in [
            "test -s 1.txt",
            "[ ! -e lib/old.py ] && [ -s 'two words' ]",
            "grep -q ch_1 out/refunds.csv || ! grep -qE '^(a|b)$' x",
            "! cmp -s a \"b; c\" && test -x out/*.sh",
            "test a = '$(exit)\n`exit`'",
        ] {
            assert!(only_asks(script), "{script}");
        }
    }

    #[test]
    fn whatever_might_do_more_is_not() {
        for script in [
            "",
            "!",
            "exit 1",
            "test -s a; exit 1",
            "test -s a && exit 1",
            "test -s a & exit 1",
            "test -s a |& cat",
            "test -s a\nexit 1",
            "test $((x=1)) = 1",
            "test \"${x:=1}\" = 1",
            "test \"`exit`\" = 1",
            "x=1 test -s a",
            "test -s a # && test -s b",
            "test -s a } && { exit",
            "grep x < a",
            "grep x a > b",
            "test -s 'a",
            "test -s a &&",
            "&& test -s a",
            "te\\st -s a",
            "cd / && test -s a",
            "testing",
        ] {
            assert!(!only_asks(script), "{script}");
        }
    }
}
